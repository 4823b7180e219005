"""What surrounds each task: `hendrix.django` looks after database connections with it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Protocol

from twisted.logger import Logger

from hendrix.crosstown.task import Task

log = Logger(namespace="hendrix.crosstown")


class Surrounded(Protocol):
    """What runs on the crew for an application: a task, or a handler of a connection.

    :ivar inline: it runs in the middle of its author's work, on the author's thread.
    :ivar thread_lives_on: its thread has others to run after it.
    """

    @property
    def inline(self) -> bool: ...
    @property
    def thread_lives_on(self) -> bool: ...


#: Called with each of these around its run, on its thread.
around: list[Callable[[Surrounded], AbstractContextManager[Any]]] = []


def surrounded(task: Task) -> None:
    """Call a task that has begun, with what is `around` it. Never raises; the task has ended."""
    if not around:
        task.call()
        return
    try:
        with ExitStack() as stack:
            for manager in around:
                stack.enter_context(manager(task))
            task.call()
    except BaseException as error:
        log.failure("what surrounds the task {name} raised", name=task.name)
        task.fail(error)
