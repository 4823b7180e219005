"""How a process ends that cannot start, or is told to end twice.

A launch that fails ends with one line on standard error and exit code 1, under every launcher, also for a daemon.

What stands in the way, and is dealt with here: twistd sends ``sys.stderr`` to its log, so the line is written to the file descriptor;
a daemon has lost that descriptor, so a copy is kept from before the fork until the start has succeeded; an exception that passes
through twistd makes it write its own message for the impatient parent (100 bytes of a repr), which is left unsaid; and it shows a
traceback unless it is a SystemExit, while twistd removes its pid file only for an Exception, so `StartError` is both. Of a ``.tac`` that it
reads, it shows the traceback of each Exception.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from twisted.application.app import getApplication
from twisted.logger import Logger

from hendrix.errors import ChildError, ConfigurationError, GivenUp


class StartError(SystemExit, Exception):
    """The process ends with exit code 1. What there was to say has been said."""

    def __init__(self, line: str) -> None:
        super().__init__(1)
        self.line = line

    def __str__(self) -> str:
        return self.line


class Launch:
    """The outcome of one launch, for the root `Supervisor`. Make it before the process forks.

    :param reactor: stopped if the failure comes when it runs.
    :ivar hurry: called at a second SIGINT or SIGTERM, when the first has begun the drain.
    """

    _log = Logger()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.hurry: Callable[[], object] | None = None
        self._pid = os.getpid()
        try:
            self._stderr: int | None = os.dup(2)
        except OSError:  # started without one
            self._stderr = None
        os.register_at_fork(after_in_parent=self._forked)

    def started(self) -> None:
        """The start succeeded: let go of the standard error of whoever launched us."""
        self._let_go()
        if self.hurry is not None and threading.current_thread() is threading.main_thread():
            self._reactor.addSystemEventTrigger("before", "shutdown", self._hear_the_second)

    def failed(self, error: BaseException) -> StartError:
        """Say why. When the reactor runs it is stopped and the process exits 1 after it, otherwise raise what is returned."""
        words = explain(error)
        if os.getpid() != self._pid:  # a daemon: what is in front of nobody's eyes goes to the log too
            self._log.critical("{words}", words=words)
        self._write(words + "\n")
        self._let_go()
        if getattr(self._reactor, "running", False):
            atexit.register(_exit_1)
            self._reactor.stop()
        return StartError(words.splitlines()[-1])

    def _let_go(self) -> None:
        if self._stderr is not None:
            os.close(self._stderr)
            self._stderr = None

    def _hear_the_second(self) -> None:
        """The drain begins. Twisted would stop the reactor once more, and log that it cannot."""
        for number in (signal.SIGINT, signal.SIGTERM):
            if callable(signal.getsignal(number)):  # not where somebody has it ignored
                signal.signal(number, lambda number, frame: self._reactor.callFromThread(self._hurry, number))

    def _hurry(self, number: int) -> None:
        if self.hurry is not None:
            self._log.warn("{name} while draining: what is left is cut", name=signal.Signals(number).name)
            hurry, self.hurry = self.hurry, None
            hurry()

    def _write(self, text: str) -> None:
        try:
            os.write(2 if self._stderr is None else self._stderr, text.encode(errors="backslashreplace"))
        except OSError:
            pass  # closed by the caller: there is nobody to tell

    def _forked(self) -> None:
        """In the process that forks while the launch is open: that is the parent of a daemon, which only waits for the verdict."""
        if self._stderr is not None and sys.__stderr__ is not None:
            sys.__stderr__ = _Waiting(sys.__stderr__)  # type: ignore[misc, assignment]


def unusable(error: ConfigurationError) -> BaseException:
    """What to raise for settings that cannot work: the error, or the end of the process where twistd reads a ``.tac``."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code is getApplication.__code__:
            return SystemExit(explain(error))
    return error


def explain(error: BaseException) -> str:
    """A line for the operator. A traceback stands above it for what is not a setting's fault: a cause, or an unforeseen error."""
    if isinstance(error, ChildError):
        return str(error)
    if isinstance(error, GivenUp):
        return f"hendrix: error: {error}"
    if not isinstance(error, ConfigurationError):
        return _traceback(error) + f"hendrix: error: the start failed: {type(error).__name__}: {error}"
    return (_traceback(error.__cause__) if error.__cause__ else "") + f"hendrix: error: {error}"


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def _exit_1() -> None:
    """Neither twistd nor twist has a way to end a running reactor with an exit code."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(1)


class _Waiting:
    """Standard error of the process that waits for a daemon: without twistd's own words about what has been said in full."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        said = text.startswith("An error has occurred") and StartError.__name__ in text
        return len(text) if said else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
