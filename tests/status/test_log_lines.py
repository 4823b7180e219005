"""Lines of the log: what they say, in each form, and what nobody can make them say."""

from __future__ import annotations

import io
import json
import logging
import os
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, strategies
from twisted.logger import FileLogObserver, Logger, LogLevel, globalLogPublisher, textFileLogObserver
from twisted.python.failure import Failure

from hendrix.crosstown.traffic import current
from hendrix.status.log_lines import SAID, Said, json_line, line_for, reform, terminal_line, text_line
from hendrix.status.python_logging import LogHandler


def event(text: str = "all is well", level: str = "info", **more: Any) -> dict[str, Any]:
    named = LogLevel.lookupByName(level)
    return {"log_format": "{text}", "text": text, "log_level": named, "log_namespace": "hendrix.web", "log_time": 1000.25, **more}


def failed() -> Failure:
    try:
        raise ValueError("no use")
    except ValueError:
        return Failure()


@pytest.fixture
def request_of_this_thread() -> Iterator[None]:
    token = current.set(SimpleNamespace(title="GET /a?b", request_id="f00"))  # type: ignore[arg-type]
    yield
    current.reset(token)


class TestJson:
    def test_keys(self) -> None:
        assert json.loads(json_line(event())) == {
            "time": 1000.25, "level": "info", "namespace": "hendrix.web", "text": "all is well", "pid": os.getpid(),
        }  # fmt: skip

    @pytest.mark.usefixtures("request_of_this_thread")
    def test_with_its_request_and_traceback(self) -> None:
        line = json.loads(json_line(event("it failed", "critical", log_failure=failed())))
        assert (line["text"], line["request"], line["request_id"]) == ("it failed", "GET /a?b", "f00")
        assert line["traceback"].splitlines()[-1] == "builtins.ValueError: no use"

    def test_of_a_worker(self) -> None:
        said = Said("warn", "shop", "text", worker="worker 1 pid 7")
        line = json.loads(json_line(event(**{SAID: said})))
        assert (line["level"], line["namespace"], line["text"], line["worker"], line["pid"]) == ("warn", "shop", "text", "worker 1", 7)

    @given(strategies.text(), strategies.text())
    def test_any_text_is_one_line(self, text: str, namespace: str) -> None:
        line = json_line(event(text, log_namespace=namespace))
        assert line.count("\n") == 1 and line.isascii() and json.loads(line)["text"] == text


class TestText:
    def test_is_what_twisted_writes(self) -> None:
        out = io.StringIO()
        made = event("one\ntwo", "warn")
        textFileLogObserver(out)(made)
        assert text_line(made) == out.getvalue()

    @pytest.mark.usefixtures("request_of_this_thread")
    def test_the_request_stands_above_the_traceback(self) -> None:
        lines = str(text_line(event("it failed", "critical", log_failure=failed()))).split("\n")
        assert lines[0].endswith("[hendrix.web#critical] it failed")
        assert lines[1] == "\twhile answering GET /a?b (id f00)"
        assert lines[2] == "\tTraceback (most recent call last):"
        assert lines[-2:] == ["\tbuiltins.ValueError: no use", ""]

    def test_nothing_to_say(self) -> None:
        assert text_line(event("")) is None and terminal_line(event(""), False) is None


class TestTerminal:
    def test_is_short(self) -> None:
        clock = time.strftime("%H:%M:%S", time.localtime(1000))
        assert terminal_line(event(), False) == f"{clock} [web] all is well\n"
        assert terminal_line(event(level="error"), False) == f"{clock} error [web] all is well\n"
        said = Said("warn", "shop", "text", worker="worker 1 pid 7")
        assert terminal_line(event(**{SAID: said}), False) == f"{clock} warn [worker 1 shop] text\n"

    @pytest.mark.parametrize("coloured", [False, True])
    def test_text_of_strangers_paints_nothing(self, coloured: bool) -> None:
        line = str(terminal_line(event("\x1b[2J\x9b1m\rforged\nnext"), coloured))
        assert line.replace("\x1b[0m", "").replace("\x1b[2m", "").count("\x1b") == 0
        assert "\\x1b[2J\\x9b1m\\x0dforged\n    next" in line

    def test_colours_go_by_level(self) -> None:
        assert len({str(terminal_line(event(level=level), True)).partition("m")[2][20:] for level in ("warn", "error", "critical")}) == 3


class TestForm:
    @pytest.mark.parametrize(("form", "expected"), [("auto", json_line), ("json", json_line), ("text", text_line)])
    def test_of_a_file(self, form: str, expected: object) -> None:
        assert line_for(form, io.StringIO()) is expected

    def test_of_a_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TERM", "xterm")
        ours, theirs = os.openpty()
        with open(theirs, "w") as file:
            assert line_for("json", file) is json_line
            for form in ("auto", "text"):
                assert "\x1b[" in str(line_for(form, file)(event()))
                monkeypatch.setenv("NO_COLOR", "1")
                assert "\x1b[" not in str(line_for(form, file)(event()))
                monkeypatch.delenv("NO_COLOR")
        os.close(ours)

    def test_observers_with_a_form_of_their_own_keep_it(self) -> None:
        usual, own = textFileLogObserver(io.StringIO()), FileLogObserver(io.StringIO(), lambda event: "own")
        for observer in (usual, own, print):
            reform(observer, "json")
        assert usual.formatEvent is json_line and own.formatEvent(event()) == "own"


class TestLogHandler:
    @pytest.fixture
    def events(self) -> Iterator[list[dict[str, Any]]]:
        found: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(found.append)
        yield found
        globalLogPublisher.removeObserver(found.append)

    @pytest.fixture
    def logger(self) -> Iterator[logging.Logger]:
        logger = logging.getLogger("tests.log_handler")
        handler = LogHandler()
        logger.addHandler(handler)
        logger.setLevel(1)
        logger.propagate = False
        yield logger
        logger.removeHandler(handler)

    def test_levels_names_and_braces(self, events: list[Any], logger: logging.Logger) -> None:
        for level in (5, 10, 20, 30, 40, 50):
            logger.log(level, "{%s} %d", "not a field", level)
        said = [Said.of(event) for event in events]
        assert [one.level for one in said] == ["debug", "debug", "info", "warn", "error", "critical"]
        assert {one.namespace for one in said} == {"tests.log_handler"} and said[0].text == "{not a field} 5"

    def test_tracebacks(self, events: list[Any], logger: logging.Logger) -> None:
        try:
            raise ValueError("no use")
        except ValueError:
            logger.exception("it failed")
        said = Said.of(events[0])
        assert said.text == "it failed" and said.traceback.endswith("ValueError: no use") and "test_tracebacks" in said.traceback

    def test_a_formatter_has_its_way(self, events: list[Any], logger: logging.Logger) -> None:
        logger.handlers[0].setFormatter(logging.Formatter("<%(message)s>"))
        logger.warning("text")
        assert Said.of(events[0]).text == "<text>"

    def test_a_record_that_cannot_be_formatted_breaks_nothing(self, events: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(logging, "raiseExceptions", False)
        LogHandler().emit(logging.LogRecord("tests", logging.WARNING, __file__, 1, "%d", ("no number",), None))
        assert events == []


def test_logging_twisted_way_too(request_of_this_thread: None) -> None:
    found: list[Said] = []
    Logger(namespace="n", observer=lambda event: found.append(Said.of(event))).warn("x")  # type: ignore[arg-type]
    assert found == [Said("warn", "n", "x", request="GET /a?b", request_id="f00")]
