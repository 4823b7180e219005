"""What a browser shows when there is no answer: the traceback of an application that raised, or that cannot be imported."""

from __future__ import annotations

import html
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from twisted.logger import Logger

from hendrix.wsgi.call import Application
from hendrix.wsgi.environ import FileWrapper

log = Logger(namespace="hendrix.dev")

STATUS = "500 Internal Server Error"
PAGE = """\
<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 16px/1.4 sans-serif; margin: 2em; color-scheme: light dark }}
pre {{ font: 14px/1.4 monospace; padding: 1em; overflow: auto; border-left: 4px solid #c33; background: #8881 }}
</style>
<h1>{title}</h1>
<pre>{text}</pre>
<p>{advice} This page is shown with --dev only.
</html>
"""


def answer(
    environ: dict[str, Any], start_response: Callable[..., Any], title: str, text: str, advice: str, exc_info: Any = None
) -> list[bytes]:
    """A response of status 500: a page for browsers, plain text for all others."""
    if "text/html" in environ.get("HTTP_ACCEPT", ""):
        kind, content = "html", PAGE.format(title=html.escape(title), text=html.escape(text), advice=html.escape(advice))
    else:
        kind, content = "plain", text.rstrip("\n") + "\n"
    headers = [("Content-Type", f"text/{kind}; charset=utf-8"), ("Cache-Control", "no-store")]
    start_response(STATUS, headers, *([exc_info] if exc_info else []))
    return [content.encode("utf-8", "backslashreplace")]


class Broken:
    """An application in the place of one that cannot be imported.

    :param text: its traceback, and a line.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return answer(environ, start_response, "The application cannot be imported", self._text, "The next save tries again.")


class CrashPage:
    """Answers with the traceback where the application raises before its answer has begun. What a framework answers is its own."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            iterable = self._application(environ, start_response)
        except Exception as error:
            return crashed(environ, start_response, error)
        if isinstance(iterable, (list, tuple, FileWrapper)):
            return iterable
        return _Watched(iterable, lambda error: crashed(environ, start_response, error))


def crashed(environ: dict[str, Any], start_response: Callable[..., Any], error: Exception) -> list[bytes]:
    """The page; raises the error where the head has been sent (PEP 3333, "Error Handling")."""
    text = "".join(traceback.format_exception(type(error), error, _below(error)))
    page = answer(environ, start_response, type(error).__name__, text, "", (type(error), error, error.__traceback__))
    log.error("{method} {path} raised\n{text}", method=environ["REQUEST_METHOD"], path=environ["PATH_INFO"], text=text.rstrip())
    return page


def _below(error: Exception) -> Any:
    """Its traceback without the frames of this file."""
    trace = error.__traceback__
    while trace and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return trace


class _Watched:
    """The pieces of a response: those of the page in the place of the first one that cannot be had."""

    def __init__(self, iterable: Iterable[bytes], crashed: Callable[[Exception], list[bytes]]) -> None:
        self._iterable, self._crashed = iterable, crashed
        if hasattr(iterable, "close"):
            self.close = iterable.close

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._iterable
        except Exception as error:
            yield from self._crashed(error)
