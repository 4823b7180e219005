"""Waiting for the hub, where that cannot be for ever: never on the reactor thread, and for a consumer never on a thread of the crew."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from hendrix.crosstown.task import enclosing
from hendrix.crosstown.traffic import current as response
from hendrix.errors import LocalError
from hendrix.hey_joe.branch import Branch, NoHub

# Seconds that the hub has to answer a question.
PATIENCE = 30.0


class WouldWait(LocalError):
    """Waiting here might be waiting for ever."""


class Failed(LocalError):
    """The consumer has raised, or the message was lost: one line that says so."""


class Reply:
    """What becomes of a message of a queue.

    :ivar may_wait: whether `wait` would wait; it raises in a view, a task and a handler.
    """

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self.may_wait = response.get() is None and enclosing.get() is None
        self._given: SimpleQueue[tuple[bool, Any]] = SimpleQueue()

    def wait(self, timeout: float | None = None) -> Any:
        """What the consumer has returned; once.

        :param timeout: seconds.
        :raises WouldWait: this is a view, a task or a handler. Consumers need the thread that would wait: if each thread did, none would
            ever have a reply.
        :raises Failed: the consumer has raised, or the message was lost.
        :raises TimeoutError: there is no reply yet.
        """
        if not self.may_wait:
            raise WouldWait(
                f"a reply from the queue {self._queue} cannot be waited for in a view, a task or a handler: consumers run on the same "
                'threads. Take it up with then="topic" where it is published, or run the function itself with hendrix.gather'
            )
        try:
            done, value = self._given.get(timeout=timeout)
        except Empty:
            raise TimeoutError(f"the queue {self._queue} has not replied within {timeout} s") from None
        if not done:
            raise Failed(value)
        return None if value is None else json.loads(value)

    def given(self, done: bool, value: Any) -> None:
        """It has come (reactor thread)."""
        self._given.put((done, value))


def answer_of(branch: Branch, ask: Callable[[], Deferred[Any]]) -> Any:
    """Ask on the reactor thread and wait here for the answer.

    :raises WouldWait: this is the reactor thread.
    :raises NoHub: there is no answer.
    """
    if threading.get_ident() == branch.thread:
        raise WouldWait("this is the reactor's thread, which cannot wait for the hub: the methods of the branch give Deferreds")
    given: SimpleQueue[Any] = SimpleQueue()
    branch.post(lambda: maybeDeferred(ask).addBoth(given.put))
    try:
        answer = given.get(timeout=PATIENCE)
    except Empty:
        raise NoHub(f"the hub has not answered within {PATIENCE:g} s") from None
    if isinstance(answer, Failure):
        answer.raiseException()
    return answer
