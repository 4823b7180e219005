"""``gather``: several blocking calls side by side, from inside a view."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from twisted.logger import Logger

from hendrix.crosstown.around import surrounded
from hendrix.crosstown.task import Task, name_of
from hendrix.errors import LocalError
from hendrix.threads.spare import spare

log = Logger(namespace="hendrix.crosstown")

# Calls of one `gather` that run at a time.
LIMIT = 32


class NestedGather(LocalError):
    """A call of a `gather` gathers itself."""


class Call(Task):
    """One of them. It follows no response; a task that is queued in it is queued in what its author is in."""

    __slots__ = ()

    def _run(self, function: Callable[[], Any]) -> Any:
        return function()


def gather(calls: Iterable[Callable[[], Any]], timeout: float | None = None) -> list[Any]:
    """Run the calls side by side, and give what they return, in their order.

    ::

        weather, news = hendrix.gather([get_weather, partial(get_news, "en")], timeout=2)

    Each call has a thread, on which it sees the context variables of this one; no more than `LIMIT` run at a time. When one raises, those
    that have not begun are left out, and those that have are waited for. Django's database connections of those threads are closed.

    A ``gather`` waits for its own calls and for nothing else, so that none can hold up another.

    :param calls: callables without arguments.
    :param timeout: seconds for all of them. A call that has not ended by then goes on; what becomes of it is not heard of.
    :raises TimeoutError: naming the calls that had not ended.
    :raises NestedGather: this is a call of another ``gather`` already.
    :raises Exception: what the first of the calls, in their order, has raised. Its attribute ``others`` has what other ones have raised,
        and from Python 3.11 its notes say so.
    """
    if getattr(_here, "gathering", False):
        raise NestedGather("this is a call of gather() already: give all calls to the outer one, or make them here one after another")
    tasks = [_task(call) for call in calls]
    late = _run(tasks, None if timeout is None else time.monotonic() + timeout)
    errors = [task.error for task in tasks if task.error is not None]
    try:
        if late:
            names = ", ".join(task.name for task in late)
            raise _with(errors, TimeoutError(f"gather: {len(late)} of {len(tasks)} calls had not ended after {timeout:g} s: {names}"))
        if errors:
            raise _with(errors[1:], errors[0])
        return [task.result(0) for task in tasks]
    finally:
        del tasks, late, errors  # their tracebacks lead here


def _task(call: Callable[[], Any]) -> Task:
    if not callable(call):
        raise TypeError(f"gather() takes callables, not {call!r}: partial(function, argument) makes one of a function and its arguments")
    return Call(call, name_of(call), frozenset())


def _run(tasks: list[Task], deadline: float | None) -> list[Task]:
    """Run the tasks; gives those that had not ended at the deadline."""
    ended: SimpleQueue[Task] = SimpleQueue()
    waiting, running = deque(tasks), set[Task]()
    while True:
        while waiting and len(running) < LIMIT:
            running.add(waiting[0])
            spare(partial(_call, waiting.popleft(), ended))
        if not running:
            return []
        try:
            task = ended.get(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))
        except Empty:
            return [task for task in tasks if task in running or task in waiting]
        running.discard(task)
        if task.error is not None:
            waiting.clear()


def _call(task: Task, ended: SimpleQueue[Task]) -> None:
    """Run one, on a spare thread."""
    _here.gathering = True
    try:
        task.begin()
        surrounded(task)
        _close_connections()
    finally:
        _here.gathering = False
        ended.put(task)


def _close_connections() -> None:
    """What a call has opened on its thread would stay open with it. Where Django is not in use it is not imported."""
    django = sys.modules.get("django.db")
    if django is not None:
        try:
            django.connections.close_all()
        except Exception:
            log.failure("gather: closing Django's database connections failed")


def _with(others: list[BaseException], error: BaseException) -> BaseException:
    """The error, with the others attached."""
    others = [other for other in others if other is not error]
    error.others = tuple(others)  # type: ignore[attr-defined]
    if others and hasattr(error, "add_note"):
        for other in others:
            error.add_note(f"another call of the same gather() raised {other!r}")
    return error


_here = threading.local()
