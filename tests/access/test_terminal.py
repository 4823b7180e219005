"""The short line of the access log, and when it is in colours."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from hendrix.access.record import Record
from hendrix.access.terminal import in_colour, terminal_line
from hendrix.status.access_log import AccessLog

SGR = re.compile(r"\x1b\[[0-9;]*m")


def test_the_line() -> None:
    when = time.mktime((2026, 11, 21, 6, 10, 40, 0, 0, -1))
    assert terminal_line(when, "GET", "/?a=b", 200, 6, 0.0123, False) == "06:10:40 200 GET /?a=b (6 bytes, 12.3 ms)\n"
    assert terminal_line(when, "", "", 400, 0, 0, False) == "06:10:40 400 -  (0 bytes, 0.0 ms)\n"


def test_the_colours_go_by_the_class_of_the_status_and_the_text_is_the_same() -> None:
    lines = {status: terminal_line(0, "GET", "/", status, 0, 0, True) for status in (101, 200, 302, 404, 500)}
    assert len({line.replace(str(status), "") for status, line in lines.items()}) == 4, "101 and 302 look alike"
    for status, line in lines.items():
        assert SGR.sub("", line) == terminal_line(0, "GET", "/", status, 0, 0, False)
        assert line.endswith("\x1b[0m\n")


def test_colours_are_for_terminals_that_want_them() -> None:
    ours, theirs = os.openpty()
    try:
        assert in_colour(theirs, {})
        assert in_colour(theirs, {"NO_COLOR": "", "TERM": "xterm"})
        assert not in_colour(theirs, {"NO_COLOR": "1"})
        assert not in_colour(theirs, {"TERM": "dumb"})
    finally:
        os.close(ours)
        os.close(theirs)
    reading, writing = os.pipe()
    assert not in_colour(writing, {})
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("target", ["/\x1b[31mred", "/\r\nforged", "/\x9b31m"])
def test_no_request_can_paint_or_forge(tmp_path: Path, target: str) -> None:
    file = tmp_path / "log"
    log = AccessLog(str(file), "terminal")
    log.append(Record("request", 0, 0, 0, 0, 0, "", "", "", "GET", target, "HTTP/1.1", "", "200", 0, 0, "", "", "", 0))
    log.close()
    assert file.read_text().count("\n") == 1
    assert file.read_text().strip("\n").isprintable()
