"""Requests that take too long: their thread's stack is logged, and their client waits no longer.

The thread goes on, since no thread can be ended from outside; what it answers in the end goes nowhere.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol, runtime_checkable

from twisted.logger import Logger

from hendrix.channel.response import Response
from hendrix.errors import PeerError
from hendrix.threads.activity import activities
from hendrix.threads.worker import Worker
from hendrix.wire.response import Stamp, refusal

log = Logger(namespace="hendrix.web")

TOO_LONG = PeerError(503, "the application takes too long")
# Seconds that a client has to read that before its socket is closed.
LINGER = 2.0


@runtime_checkable
class Request(Protocol):
    """A job that is a request with the application.

    :ivar response: the one that is made; None between two.
    """

    response: Any

    def give_up(self, response: Response, answer: bytes) -> socket.socket | None:
        """End the connection under the application: with ``answer``, if nothing of this response has left. Reactor thread.

        :returns: a socket to close when the client has had time to read.
        """


class Overtime:
    """Looks for them.

    :param limit: seconds that a request may take.
    """

    def __init__(self, limit: float, call_later: Callable[..., object], clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._call_later, self._clock = limit, call_later, clock

    def look(self, workers: Iterable[Worker], stamp: Stamp) -> None:
        """Once (reactor thread)."""
        now = self._clock()
        for worker in workers:
            job: Any = worker.job
            jobs, noticed = worker.noticed
            if jobs == worker.jobs and now - noticed > self._limit and isinstance(job, Request):
                response = job.response
                if response is not None and not response.given_up:
                    self._give_up(worker, job, response, stamp)

    def _give_up(self, worker: Worker, job: Request, response: Response, stamp: Stamp) -> None:
        response.given_up = True
        if not response.begun:
            response.heard = str(TOO_LONG.status)
        stack = "\n".join(activities([worker])[0].stack)
        log.error(
            "{request} takes longer than --request-timeout={limit:g}; {thread} is here:\n{stack}",
            request=response.title, limit=self._limit, thread=worker.name, stack=stack,
        )  # fmt: skip
        left = job.give_up(response, refusal(TOO_LONG, stamp))
        if left is not None:
            self._call_later(LINGER, left.close)
