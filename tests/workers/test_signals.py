"""Signals, and the log file of twistd."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.python.logfile import LogFile

from hendrix.workers.signals import Signals, reopened_log_of_twistd


class Reactor:
    """Calls when it is told to."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def callFromThread(self, call: Any, *args: Any) -> None:
        self.calls.append((call, args))

    def turn(self) -> None:
        while self.calls:
            call, args = self.calls.pop(0)
            call(*args)


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_they_are_handled_in_the_reactor_and_given_back() -> None:
    heard: list[str] = []
    signal.signal(signal.SIGUSR1, lambda number, frame: heard.append("before"))
    reactor = Reactor()
    signals = Signals(reactor, {"SIGUSR1": lambda: heard.append("ours"), "SIGNONE": lambda: heard.append("never")})
    signals.install()
    os.kill(os.getpid(), signal.SIGUSR1)
    assert heard == []
    reactor.turn()
    assert heard == ["before", "ours"]
    signals.remove()
    os.kill(os.getpid(), signal.SIGUSR1)
    assert heard == ["before", "ours", "before"]


def test_a_handler_that_raises_is_logged_and_that_was_all() -> None:
    reactor = Reactor()
    signals = Signals(reactor, {"SIGHUP": lambda: 1 / 0})
    signals.install()
    os.kill(os.getpid(), signal.SIGHUP)
    reactor.turn()
    signals.remove()


def twistds(file: LogFile) -> Callable[..., None]:
    """As twistd makes it."""
    logFile = file

    def rotateLog(number: int, frame: object) -> None:
        logFile.rotate()

    return rotateLog


def test_the_log_of_twistd_is_opened_anew_only_when_it_has_been_moved_away(tmp_path: Path) -> None:
    file = LogFile("log", str(tmp_path))
    handler = twistds(file)
    assert not reopened_log_of_twistd(handler)
    (tmp_path / "log").rename(tmp_path / "moved")
    assert reopened_log_of_twistd(handler)
    file.write("here")
    file.flush()
    assert (tmp_path / "log").read_text() == "here"
    (tmp_path / "log").rename(tmp_path / "moved")
    (tmp_path / "log").write_text("")  # as logrotate's "create"
    assert reopened_log_of_twistd(handler)
    file.close()


def test_another_handler_is_not_taken_for_that_of_twistd() -> None:
    assert not reopened_log_of_twistd(lambda number, frame: None)
    assert not reopened_log_of_twistd(print)
