"""Signals to the process: SIGHUP reloads, SIGUSR1 reopens the logs, SIGTTIN and SIGTTOU make it one worker more or less.

twistd has a use for SIGUSR1 too: it rotates its own log. So it does, unless somebody has moved the file away: then it is opened anew.
"""

from __future__ import annotations

import inspect
import os
import signal
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from twisted.logger import Logger

log = Logger(namespace="hendrix.signals")

Handler = Callable[[], object]


class Signals:
    """Handles signals; in the main thread only, as Python wants it.

    :param handlers: what to call in the reactor thread, by the name of the signal.
    """

    def __init__(self, reactor: Any, handlers: Mapping[str, Handler]) -> None:
        self._reactor = reactor
        self._handlers = {number: handler for name, handler in handlers.items() if (number := getattr(signal, name, None)) is not None}
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        """Hear them from now on."""
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._handlers.items():
                self._before[number] = signal.signal(number, partial(self._came, handler))

    def remove(self) -> None:
        """Give them back to who had them before."""
        before, self._before = self._before, {}
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def _came(self, handler: Handler, number: int, frame: object) -> None:
        self._reactor.callFromThread(self._handle, handler, number)

    def _handle(self, handler: Handler, number: int) -> None:
        before, rotates = self._before.get(number), self._before.get(signal.SIGUSR1)
        reopened = callable(rotates) and reopened_log_of_twistd(rotates)
        if callable(before) and not reopened:
            before(number, None)
        try:
            handler()
        except Exception:
            log.failure("{name} could not be handled", name=signal.Signals(number).name)


def reopened_log_of_twistd(handler: Callable[..., Any]) -> bool:
    """Whether this is twistd's handler, its log file has been moved away, and it has been opened anew.

    twistd rotates only what is there.
    """
    if not inspect.isfunction(handler):
        return False
    file = inspect.getclosurevars(handler).nonlocals.get("logFile")
    if file is None or not hasattr(file, "reopen"):
        return False
    try:
        there = os.stat(file.path)
        ours = os.fstat(file._file.fileno())
        if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
            return False
    except FileNotFoundError:
        pass
    file.reopen()
    return True
