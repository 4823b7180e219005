"""A response as the channel sees it: an exchange, and the moment at which it is out over the wire."""

from __future__ import annotations

import re
import threading
import time
from random import Random
from typing import Any

from twisted.logger import Logger

from hendrix.crosstown.dispatcher import Dispatcher, plain
from hendrix.crosstown.task import Task, enclosing
from hendrix.wire.forwarded import TrustedProxies
from hendrix.wire.http1 import Request
from hendrix.wsgi.call import Exchange, Outlet

log = Logger(namespace="hendrix.crosstown")

# Seconds after which a client that does not read holds up no task any longer.
WIRE_TIMEOUT = 30.0
# A request id that may stand in a log.
ID = re.compile(r"[\x21-\x7e]{1,128}")
# Where our own come from: they must differ, and need not be secret. Nobody else's, whom the application might seed.
ids = Random()


class Response(Exchange):
    """What tasks wait for. They may start when two things have happened, on whatever threads and in whatever order: the iterable is
    closed (the serving thread says `ended`), and the last byte is out (whoever sent it says `went_out`). Each raises its flag first and
    looks for the other's second; if both see both, the dispatcher lets only one of them follow.

    :ivar given_up: it takes too long, and the client waits no longer.
    :ivar slow: its client was cut off, because it did not read.
    :ivar heard: the status that the client had in place of its own; "" if it had its own.
    :ivar trace: the trace that it is part of, for its tasks, where that is recorded.
    :ivar after: the tasks; ``environ["hendrix.after_response"]``.
    :ivar stays: some of them want the thread that serves it: it waits until the last byte is out.
    :ivar proxy: who is believed to tell its id, and the address that it came from.
    """

    out = closed = gone = given_up = stays = slow = False
    proxy: tuple[TrustedProxies, str] | None = None
    out_at = 0.0
    heard = _id = ""
    trace: Any = None
    last: Task | None = None
    _waiter: threading.Event | None = None

    def __init__(self, request: Request, outlet: Outlet, dispatcher: Dispatcher) -> None:
        self._request, self._outlet, self._dispatcher = request, outlet, dispatcher  # as Exchange does, without the call
        self.after: list[Any] = []

    @property
    def title(self) -> str:
        return self._name()

    @property
    def method(self) -> str:
        return self._request.method

    @property
    def request_id(self) -> str:
        """X-Request-ID as a trusted proxy has set it, else one of our own; made when it is first asked for (any thread)."""
        return self._id or self._make_id()

    def _make_id(self) -> str:
        made: str = self.__dict__.setdefault("_id", self._given_id() or f"{ids.getrandbits(64):016x}")
        return made

    def _given_id(self) -> str:
        if self.proxy is None or not self.proxy[0].trusts(self.proxy[1]):
            return ""
        given = self._request.fields.get("HTTP_X_REQUEST_ID", "")
        return given if ID.fullmatch(given) else ""

    def admit(self, task: Task) -> None:
        """The task asks for a worker process (any thread). Raises `NoProcesses`."""
        self._dispatcher.admit(task)

    def follow_with(self, task: Task) -> None:
        """The task is to run after this response, and after the task that it is queued in (any thread)."""
        around = enclosing.get()
        if around is not None and around.contains(task):
            return
        if task.same_thread:
            self.stays = True
        self._dispatcher.queue(self, task)
        # Append first, look second; the others raise their flags first and look second. So nobody's task is left behind.
        if self.closed and self.out:
            self._dispatcher.follow(self)

    def went_out(self, gone: bool = False) -> None:
        """The last byte has left for the kernel, or nobody waits for it any longer (the thread that owns the connection)."""
        self.gone = gone
        if self.after:
            self.out_at = time.monotonic()
            if gone:
                log.info("the client of {request} left before it had the whole response", request=self.title)
        self.out = True
        if self._waiter is not None:
            self._waiter.set()
        elif self.after and self.closed:
            self._dispatcher.is_out(self)

    def ended(self, over: bool = True) -> None:
        """The application has no more to do with it, and there are tasks (the serving thread). Runs those that want this thread.

        :param over: the thread has let go of the connection. Else it may not wait for the client: who would send?
        """
        for index, entry in enumerate(self.after):
            if not isinstance(entry, Task):
                self._adopt(index, entry)
        if self.stays and over and not self.out:
            self._wait()
        self.closed = True
        if self.out:
            self.out_at = self.out_at or time.monotonic()
            self._dispatcher.follow(self, serving=True)

    def _adopt(self, index: int, entry: Any) -> None:
        """What was put into the list by hand becomes a task here, in the context of its request. Nobody takes from the list before
        ``closed``."""
        self._dispatcher.expect(self)
        self.after[index] = plain(entry, self)

    def _wait(self) -> None:
        """Wait until the last byte is out, unless too many threads do: then its tasks do not find this one."""
        if not self._dispatcher.keep_waiting():
            log.warn("{request}: too many threads wait for slow clients; its same_thread tasks run on another one", request=self.title)
            return
        waiter = self._waiter = threading.Event()
        # Raise the waiter first, look for the flag second.
        if not self.out and not waiter.wait(WIRE_TIMEOUT):
            log.warn("{request}: the client has not read for {seconds:g} s; its tasks start", request=self.title, seconds=WIRE_TIMEOUT)
        self.out = True
        self._dispatcher.kept()
