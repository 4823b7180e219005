"""One worker process, as its parent sees it: from its birth over the link to its end."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.process import reapAllProcesses
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from hendrix.control.commands import Commands
from hendrix.errors import ChildError, ConfigurationError, LocalError
from hendrix.wire.lines import encode
from hendrix.workers.link import Link
from hendrix.workers.logs import FromWorker

log = Logger(namespace="hendrix.workers")

# The file descriptors of a worker, after the three that every process has: the link, then the listening sockets.
LINK, FIRST_SOCKET = 3, 4
# Seconds between two signs of life of a worker.
BEAT = 1.0
# The least number of these that count as standing still: a machine may be busy.
LEAST = 3.0
# Seconds that a worker has to come up, if the time limit for one that stands still is not longer: it imports the application meanwhile.
TO_START = 120.0
# Seconds between two looks for the end of a process whose link has ended: with uvloop, which has SIGCHLD to itself, nobody tells.
TO_EXIT = 0.1
# Seconds from the signal that makes a stuck worker dump its stacks, and end of it, to the one that ends it in any case.
TO_DUMP = 2.0


class WorkerDied(LocalError):
    """It ended, and nobody had told it to."""


class Process(ProcessProtocol):
    """A worker process.

    :param name: of its place among the workers, as "worker 1".
    :param baggage: what it is told first.
    :param sockets: descriptors of the listening sockets that it is to inherit.
    :param commands: what it may ask of this process.
    :ivar ready: fires with the name of the application when it serves; fails with `ChildError` if it cannot.
    :ivar deaf: it has accepted its last connection, or has ended.
    :ivar ended: fires with how it ended, when it has.
    :ivar told_to_go: its end is no surprise.
    :ivar report: what it said about itself last.
    :ivar on_wish: called with the reason when it wants to be replaced.
    """

    def __init__(self, reactor: Any, name: str, baggage: Mapping[str, Any], sockets: list[int], commands: Commands, timeout: float) -> None:
        self._reactor, self.name, self._timeout = reactor, name, timeout
        self.ready: Deferred[str] = Deferred()
        self.deaf: Deferred[None] = Deferred()
        self.ended: Deferred[str] = Deferred()
        self.told_to_go = False
        self.serving = False
        self.report: dict[str, Any] = {}
        self.on_wish: Callable[[str], object] = lambda reason: None
        self._silence = 0.0
        self._last_words = ""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self._spawn(theirs.fileno(), sockets)
            ours.sendall(encode(baggage))
            self.link = Link.on(reactor, ours, commands)
        self._life = self.link.channel("life")
        self._life.received, self._life.lost = self._heard, self._link_lost
        self._log = FromWorker(f"{name} pid {self.pid}")

    def _spawn(self, link: int, sockets: list[int]) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
        null = os.open(os.devnull, os.O_RDWR)
        try:
            descriptors = {0: null, 1: 1 if _is_open(1) else null, 2: "r", LINK: link, **dict(enumerate(sockets, FIRST_SOCKET))}
            command = [sys.executable, "-m", "hendrix.workers.child"]
            self._process = self._reactor.spawnProcess(self, sys.executable, command, environment, childFDs=descriptors)
        except PermissionError:
            user, advice = os.geteuid(), "install it where everybody may run it, or give --workers=0"
            raise ConfigurationError(f"workers are processes of the user {user}, who may not run {sys.executable}; {advice}") from None
        finally:
            os.close(null)
        self.pid: int = self._process.pid

    # What it is told.

    def drain(self) -> None:
        """Have it end when it has answered what it has; others go on in its place."""
        self._go("drain")

    def stop(self, *, heirs: bool = False) -> None:
        """Have it end, as all the others do. One that does not serve yet has nothing to put in order.

        :param heirs: others will accept who waits to be.
        """
        if self.serving or self.ready.called:
            self._go("give way" if heirs else "stop")
        else:
            self.told_to_go = True
            self.kill()

    def _go(self, how: str) -> None:
        self.told_to_go = True
        self._life.send({how: True})

    def hurry(self) -> None:
        """Have it cut what it waits for, after it was told to end."""
        self._life.send({"hurry": True})

    def reopen_logs(self) -> None:
        self._life.send({"reopen": True})

    def kill(self) -> None:
        """End it now."""
        self._signal(signal.SIGKILL)

    def dump_and_kill(self) -> None:
        """End it, after it has written the stacks of all its threads to the log: that needs no help of its interpreter."""
        self._signal(signal.SIGABRT)
        self._reactor.callLater(TO_DUMP, self.kill)

    def _signal(self, number: int) -> None:
        try:
            self._process.signalProcess(number)
        except ProcessExitedAlready:
            pass

    # What it says.

    @property
    def state(self) -> str:
        """In a word."""
        return "draining" if self.told_to_go else "serving" if self.serving else "starting"

    def _heard(self, message: dict[str, Any]) -> None:
        self._silence = 0.0
        match message:
            case {"beat": dict(report)}:
                self.report = report
            case {"ready": str(name)}:
                self.serving = True
                self.ready.callback(name)
            case {"failed": str(words)}:
                self._last_words = words
            case {"deaf": True}:
                self._is_deaf()
            case {"wish": str(reason)}:
                self.on_wish(reason)

    def look(self, seconds: float) -> None:
        """So many seconds have passed since the last look, in which this process has listened: is it alive?"""
        self._silence += seconds
        limit = max(self._timeout, LEAST if self.serving else TO_START)
        if self._timeout and self._silence > limit:
            self._silence = float("-inf")
            log.error(
                "{name} pid {pid} has given no sign of life for {limit:g} s; the stacks of its threads follow, and its end",
                name=self.name, pid=self.pid, limit=limit,
            )  # fmt: skip
            self.dump_and_kill()

    # Its end.

    def _link_lost(self) -> None:
        """It has ended, or its interpreter is about to: what it had to say has been heard."""
        self._is_deaf()
        self._reactor.callLater(TO_EXIT, self._reap)
        if not self.ready.called:
            self._reactor.callLater(0, self._could_not_start)

    def _reap(self) -> None:
        """Until it has ended, however long its interpreter takes."""
        if not self.ended.called:
            reapAllProcesses()
            self._reactor.callLater(TO_EXIT, self._reap)

    def _could_not_start(self) -> None:
        if not self.ready.called:
            self.told_to_go = True
            self._reactor.callLater(TO_DUMP, self.kill)
            words = self._last_words or f"hendrix: error: {self.name} ended before it was ready; what it said is in the log"
            self.ready.errback(ChildError(words))

    def _is_deaf(self) -> None:
        if not self.deaf.called:
            self.deaf.callback(None)

    # ProcessProtocol.

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        self._log.feed(data)

    def processEnded(self, reason: Failure) -> None:
        self._log.end()
        self.serving = False
        self.link.close()
        self._is_deaf()
        self._could_not_start()
        self.ended.callback(_how(reason))


def _how(reason: Failure) -> str:
    if reason.check(ProcessDone):
        return "ended by itself"
    status: Any = reason.value
    if status.signal:
        return f"was killed by {signal.Signals(status.signal).name}"
    return f"ended with exit code {status.exitCode}"


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
