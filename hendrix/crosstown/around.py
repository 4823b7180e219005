"""What surrounds each task: `hendrix.django` looks after database connections with it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from twisted.logger import Logger

from hendrix.crosstown.task import Task

log = Logger(namespace="hendrix.crosstown")

#: Called with each task around its run, on its thread.
around: list[Callable[[Task], AbstractContextManager[Any]]] = []


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
