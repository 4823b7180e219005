"""What the client hears of an application that raises, by the rules of PEP 3333."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from hendrix.dev.page import Broken, CrashPage
from hendrix.wsgi.environ import FileWrapper


class Server:
    """Calls an application as a server does, up to the end of its response."""

    def __init__(self, application: Callable[..., Iterable[bytes]], accept: str = "") -> None:
        self.head: tuple[str, dict[str, str]] | None = None
        self.sent = False
        self.body = b""
        self.iterable = application({"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_ACCEPT": accept}, self.start_response)

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        if exc_info and self.sent:
            raise exc_info[1]
        assert exc_info or self.head is None
        self.head = status, dict(headers)
        return lambda data: None

    def read(self) -> Server:
        for piece in self.iterable:
            self.sent = True
            self.body += piece
        return self


def boom(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    raise ValueError("<boom>")


def test_for_a_browser_it_is_a_page_and_else_text() -> None:
    page = Server(CrashPage(boom), "text/html,application/xhtml+xml,*/*;q=0.8").read()
    assert page.head == ("500 Internal Server Error", {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"})
    assert b"ValueError: &lt;boom&gt;" in page.body and b"<boom>" not in page.body
    text = Server(CrashPage(boom), "*/*").read()
    assert text.head is not None and text.head[1]["Content-Type"] == "text/plain; charset=utf-8"
    assert text.body.startswith(b"Traceback") and text.body.endswith(b"ValueError: <boom>\n")
    assert b"hendrix/dev/page.py" not in text.body, "its own frames are of no interest"


def test_a_head_that_was_given_but_not_sent_is_replaced() -> None:
    def late(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        raise ValueError("late")

    server = Server(CrashPage(late)).read()
    assert server.head is not None and server.head[0].startswith("500 ")


def test_what_is_half_sent_is_broken_off() -> None:
    def half(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield b"half"
        raise ValueError("half")

    server = Server(CrashPage(half))
    with pytest.raises(ValueError, match="half"):
        server.read()
    assert server.body == b"half"


@pytest.mark.parametrize("kind", [list, tuple, FileWrapper])
def test_answers_with_a_way_of_their_own_keep_it(kind: Any) -> None:
    answer = FileWrapper(None) if kind is FileWrapper else kind([b"x"])
    assert Server(CrashPage(lambda environ, start_response: answer)).iterable is answer


def test_close_is_passed_on() -> None:
    closed: list[bool] = []

    class Answer:
        def __iter__(self) -> Any:
            return iter([b"x"])

        def close(self) -> None:
            closed.append(True)

    iterable: Any = Server(CrashPage(lambda environ, start_response: Answer())).read().iterable
    iterable.close()
    assert closed == [True]
    plain = Server(CrashPage(lambda environ, start_response: iter([b"x"]))).iterable
    assert not hasattr(plain, "close")


def test_what_cannot_be_imported_is_shown() -> None:
    page = Server(Broken("Traceback: <unknown> \udc80"), "text/html").read()
    assert page.head is not None and page.head[0].startswith("500 ")
    assert b"Traceback: &lt;unknown&gt; \\udc80" in page.body
