"""`hendrix.status.service`: the access log as a node of the tree."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from hendrix.errors import ConfigurationError
from hendrix.status.service import INTERVAL, AccessLogService
from hendrix.wire.http1 import Request


def request(method: str = "GET", target: str = "/a?b", **fields: Any) -> Request:
    made = Request()
    made.method, made.target, made.fields = method, target, fields
    return made


class Answer:
    """What a response is to the log."""

    event, client, request_id = "request", "", "f00"
    close_code = 0
    headers = (("Content-Type", "text/plain"), ("X-Two", "a"), ("x-two", "b"))

    def __init__(self, request: Request, remote_addr: Any, code: str, sent: int, seconds: float) -> None:
        self.request, self.remote_addr, self.code, self.sent = request, remote_addr, code, sent
        self.left = self.finished = time.monotonic()
        self.began, self.first = self.left - seconds, 0.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(clock: Clock, path: Path) -> AccessLogService:
    return AccessLogService(clock, str(path), "json")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_is_opened_at_the_start(service: AccessLogService, path: Path) -> None:
    """When the process has the user that it will keep, not before."""
    assert not path.exists()
    service.startService()
    assert path.exists()
    service.stopService()


def test_file_that_cannot_be_opened(clock: Clock, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--access-log="):
        AccessLogService(clock, str(tmp_path / "missing" / "log"), "combined").startService()


def test_lines_wait_for_the_next_write(service: AccessLogService, clock: Clock, path: Path) -> None:
    service.startService()
    service.append(Answer(request(), "192.0.2.1", "200", 5, 0.25))
    assert lines(path) == []
    clock.advance(INTERVAL)
    assert len(lines(path)) == 1
    service.append(Answer(request(), "192.0.2.1", "200", 5, 0.25))
    service.append(Answer(request(), "192.0.2.1", "200", 5, 0.25))
    clock.advance(INTERVAL)
    assert len(lines(path)) == 3
    service.stopService()


def test_stopping_writes_the_rest(service: AccessLogService, clock: Clock, path: Path) -> None:
    service.startService()
    service.append(Answer(request(), "", "200", 5, 0.0))
    service.stopService()
    assert len(lines(path)) == 1
    service.append(Answer(request(), "", "200", 5, 0.0))
    clock.advance(10 * INTERVAL)
    assert len(lines(path)) == 1
    assert not clock.getDelayedCalls()


def test_before_it_runs_nothing_is_kept(service: AccessLogService, path: Path) -> None:
    service.append(Answer(request(), "", "200", 5, 0.0))
    service.stopService()
    assert not path.exists()


def test_what_a_line_says(service: AccessLogService, path: Path) -> None:
    service.startService()
    before = time.time()
    service.append(Answer(request("POST", "/x", HTTP_REFERER="http://r/", HTTP_USER_AGENT="agent"), "192.0.2.1", "404", 17, 0.5))
    old = request("GET", "/old")
    old.http10 = True
    service.append(Answer(old, "", "200", 0, 0.0))
    service.stopService()
    first, second = lines(path)
    assert before - 0.502 <= first.pop("time") <= time.time() - 0.498
    assert 0.4 < first.pop("duration") < 0.6 and 0.4 < first.pop("app") < 0.6 and first.pop("first_byte") > 0.4
    assert first == {
        "event": "request",
        "request_id": "f00",
        "user": "",
        "tls": "",
        "received": 0,
        "waited": 0.0,
        "client": "",
        "close_code": 0,
        "worker": "hendrix",
        "pid": os.getpid(),
        "remote_addr": "192.0.2.1",
        "method": "POST",
        "target": "/x",
        "protocol": "HTTP/1.1",
        "status": 404,
        "sent": 17,
        "referer": "http://r/",
        "user_agent": "agent",
    }
    assert (second["protocol"], second["remote_addr"], second["referer"], second["user_agent"]) == ("HTTP/1.0", "", "", "")


def test_response_that_never_began(service: AccessLogService, path: Path) -> None:
    """The client left before there was a status."""
    service.startService()
    service.append(Answer(request(), "192.0.2.1", "", 0, 0.0))
    service.stopService()
    assert lines(path)[0]["status"] == 0


def test_what_was_no_request(service: AccessLogService, path: Path) -> None:
    service.startService()
    service.append(Answer(request("", ""), "192.0.2.1", "400", 0, 0.0))
    service.stopService()
    [line] = lines(path)
    assert (line["method"], line["target"], line["protocol"], line["status"]) == ("", "", "", 400)


@pytest.mark.parametrize("form", ["combined", "json"])
@pytest.mark.parametrize("value", [None, 5, b"bytes", ["a"], object()])
def test_an_environ_that_the_application_has_changed(clock: Clock, path: Path, form: str, value: object) -> None:
    """It must not be the end of the log."""
    service = AccessLogService(clock, str(path), form)
    service.startService()
    service.append(Answer(request(HTTP_REFERER=value, HTTP_USER_AGENT=value), value, "200", 5, 0.0))  # type: ignore[arg-type]
    clock.advance(INTERVAL)
    service.append(Answer(request(), "192.0.2.1", "200", 5, 0.0))
    clock.advance(INTERVAL)
    assert len(path.read_text().splitlines()) == 2
    service.stopService()


def test_lost_lines_are_told(service: AccessLogService, clock: Clock) -> None:
    events: list[LogEvent] = []
    observer: Any = events.append
    service.startService()
    assert service._log is not None
    service._log.limit = 3
    for _ in range(10):
        service.append(Answer(request(), "", "200", 5, 0.0))
    globalLogPublisher.addObserver(observer)
    try:
        clock.advance(INTERVAL)
        clock.advance(INTERVAL)
    finally:
        globalLogPublisher.removeObserver(observer)
        service.stopService()
    assert [formatEvent(event) for event in events] == ["7 lines of the access log were lost: the disk is too slow or full"]


@pytest.mark.parametrize(("path", "form", "text"), [("-", "combined", "combined to standard output"), ("/x/log", "json", "json to /x/log")])
def test_describe(path: str, form: str, text: str) -> None:
    assert AccessLogService(Clock(), path, form).describe() == text


@pytest.mark.parametrize(
    ("fields", "user"),
    [
        ({"HTTP_AUTHORIZATION": "Basic bWU6c2VjcmV0"}, "me"),
        ({"HTTP_AUTHORIZATION": "basic  bWU6c2VjcmV0 ", "REMOTE_USER": ""}, "me"),
        ({"HTTP_AUTHORIZATION": "Basic bWU6c2VjcmV0", "REMOTE_USER": "she"}, "she"),
        ({"HTTP_AUTHORIZATION": "Basic /w=="}, "\\xff"),
        ({"HTTP_AUTHORIZATION": "Basic !"}, ""),
        ({"HTTP_AUTHORIZATION": "Bearer bWU6c2VjcmV0"}, ""),
        ({"HTTP_AUTHORIZATION": None, "REMOTE_USER": 5}, ""),
    ],
)
def test_who_the_user_is(service: AccessLogService, path: Path, fields: dict[str, Any], user: str) -> None:
    service.startService()
    service.append(Answer(request(**fields), "", "200", 5, 0.0))
    service.stopService()
    assert lines(path)[0]["user"] == user
    assert "secret" not in path.read_text()


def test_what_a_format_string_asks_for(clock: Clock, path: Path) -> None:
    form = "%({host}i)s %({x-two}o)s %({no}o)s %({app.number}e)s %({app.thing}e)s %(worker)s"
    service = AccessLogService(clock, str(path), form, "worker 7")
    service.startService()
    service.append(Answer(request(**{"HTTP_HOST": "a b", "app.number": 5, "app.thing": object()}), "", "200", 5, 0.0))
    service.stopService()
    assert path.read_text() == "a b a, b - 5 - worker 7\n"
