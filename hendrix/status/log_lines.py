"""Lines of the log: for people, or as JSON. Events of `twisted.logger` in, text out.

What is logged while a request is answered, by whatever code, knows that request: the observer is called on the thread that logs.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.logger import FileLogObserver, formatEvent, formatTime

from hendrix.access.terminal import in_colour
from hendrix.crosstown.traffic import current

# The key of an event under which a `Said` of another process is.
SAID = "hendrix_said"
# What a terminal might obey.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# The function that makes the lines of `textFileLogObserver`.
USUAL = "textFileLogObserver.<locals>.formatEvent"
# SGR codes (ECMA-48) by level.
COLOURS = {"debug": "2", "info": "0", "warn": "33", "error": "31", "critical": "1;31"}
DIM, BOLD = "2", "1"


@dataclass(frozen=True)
class Said:
    """What an event says. Absent text is "".

    :ivar request: what was being answered, as "GET /page?a=b"; its id is ``request_id``.
    :ivar worker: the process, unless it is this one.
    """

    level: str
    namespace: str
    text: str
    traceback: str = ""
    request: str = ""
    request_id: str = ""
    worker: str = ""

    @classmethod
    def of(cls, event: dict[str, Any]) -> Said:
        """On the thread that logs it. Never raises."""
        said = event.get(SAID)
        if isinstance(said, cls):
            return said
        failure = event.get("log_failure")
        try:
            traceback = str(failure.getTraceback()) if failure is not None else ""
        except Exception:
            traceback = "(its traceback cannot be shown)"
        level = getattr(event.get("log_level"), "name", "info")
        request, request_id = _request()
        return cls(level, str(event.get("log_namespace") or "-"), formatEvent(event), traceback.rstrip("\n"), request, request_id)

    def keys(self) -> dict[str, str]:
        """What there is of it, by name; those that all have come first."""
        return {name: value for name, value in vars(self).items() if value or name in ("level", "namespace", "text")}


def _request() -> tuple[str, str]:
    """What this thread is answering."""
    response: Any = current.get()
    try:
        return (str(response.title), str(response.request_id)) if response is not None else ("", "")
    except Exception:  # a double of the application's tests
        return "", ""


def json_line(event: dict[str, Any]) -> str:
    """One object on one line."""
    keys = Said.of(event).keys()
    worker, _, pid = keys.pop("worker", "").rpartition(" pid ")
    whose = {"worker": worker, "pid": int(pid)} if pid.isdecimal() else {"pid": os.getpid()}
    return json.dumps({"time": round(_moment(event), 6), **keys, **whose}) + "\n"


def text_line(event: dict[str, Any]) -> str | None:
    """As Twisted writes it, with the request above a traceback."""
    said = Said.of(event)
    text = _whole(said)
    if not text:
        return None
    namespace = f"{said.worker}, {said.namespace}" if said.worker else said.namespace
    system = event.get("log_system") or (f"{namespace}#{said.level}" if event.get("log_level") is not None else "-")
    return f"{formatTime(_moment(event))} [{system}] {text}\n".replace("\n", "\n\t")[:-1]


def terminal_line(event: dict[str, Any], coloured: bool) -> str | None:
    """Short, for whoever looks on."""
    said = Said.of(event)
    text = CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", _whole(said)).replace("\n", "\n    ")
    if not text:
        return None
    clock = time.strftime("%H:%M:%S", time.localtime(_moment(event)))
    name = "twisted" if said.namespace.startswith(("twisted.", "log_legacy")) else said.namespace.removeprefix("hendrix.")
    name = f"{said.worker.partition(' pid')[0]} {name}".lstrip()
    level = "" if said.level == "info" else f"{said.level} "
    if not coloured:
        return f"{clock} {level}[{name}] {text}\n"
    colour = COLOURS.get(said.level, "0")
    return f"\x1b[{DIM}m{clock} [{name}]\x1b[0m \x1b[{colour}m{level}{text}\x1b[0m\n"


def _whole(said: Said) -> str:
    if not said.traceback:
        return said.text
    above = f"while answering {said.request} (id {said.request_id})" if said.request else ""
    return "\n".join(part for part in (said.text, above, said.traceback) if part)


def _moment(event: dict[str, Any]) -> float:
    moment = event.get("log_time")
    return moment if isinstance(moment, float) else time.time()


Line = Callable[[dict[str, Any]], str | None]


def line_for(form: str, file: Any) -> Line:
    """The lines for a file.

    :param form: "text", "json", or "auto", which is text on a terminal and JSON elsewhere.
    """
    try:
        descriptor = file.fileno()
        terminal = os.isatty(descriptor)
    except (AttributeError, OSError, ValueError):  # a log file of Twisted's
        descriptor, terminal = -1, False
    if form == "json" or (form == "auto" and not terminal):
        return json_line
    if not terminal:
        return text_line
    coloured = in_colour(descriptor, os.environ)
    return lambda event: terminal_line(event, coloured)


def reform(observer: object, form: str) -> None:
    """Have an observer that Twisted has made for a file write these lines; others stay as they are."""
    if isinstance(observer, FileLogObserver) and observer.formatEvent.__qualname__ == USUAL:
        observer.formatEvent = line_for(form, observer._outFile)
