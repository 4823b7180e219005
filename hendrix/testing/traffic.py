"""Test tools for crosstown traffic: hold the tasks of the code under test, count them, look at them, run them.

They work without a server, and without Django; `hendrix.django` runs the tasks of Django's test client by itself.
"""

from __future__ import annotations

import time
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hendrix.crosstown.dispatcher import Dispatcher, plain
from hendrix.crosstown.task import Task
from hendrix.crosstown.traffic import current


class _Here(Dispatcher):
    """Runs tasks on this thread, one after another in decorated order; errors are kept for the test, not logged.

    :ivar errors: what the tasks have raised.
    """

    def __init__(self) -> None:
        super().__init__(_NoCrew(), 0)
        self.errors: list[BaseException] = []

    def submit(self, task: Task, *, here: bool = False, bounded: bool = True) -> bool:
        task.inline = True
        self.run(task)
        return False

    def _report(self, task: Task) -> None:
        assert task.error is not None
        self.errors.append(task.error)


class _NoCrew:
    size = 0

    def submit(self, job: Any) -> None:
        raise AssertionError("tasks run on the thread of the test")


class HeldTask:
    """A task that the test has taken: a call runs it, on this thread, and gives what it returns or raises what it raises.

    :ivar task: the handle that the decorator has given to the code under test.
    """

    def __init__(self, task: Task) -> None:
        self.task = task

    @property
    def name(self) -> str:
        """As in logs."""
        return self.task.name

    def __repr__(self) -> str:
        return f"<held {self.name}: {self.task.state}>"

    def __call__(self) -> Any:
        self.task.inline = True
        _Here().run(self.task)
        return self.task.result(0)


class HeldTraffic:
    """Stands for the response, and keeps its tasks until the test wants them. ``len()`` counts them, iteration gives their handles.

    :ivar after: what waits, as ``environ["hendrix.after_response"]`` has it.
    """

    title = "a response in a test"
    request_id = "test"
    failed = gone = False
    last: Task | None = None
    out_at = 0.0
    code = "200"

    def __init__(self) -> None:
        self.after: list[Any] = []
        self._here = _Here()

    def admit(self, task: Task) -> None:
        """It needs no worker process: it will run here."""

    def follow_with(self, task: Task) -> None:
        """The task is to run after this response."""
        task.response = self
        self.after.append(task)

    def __len__(self) -> int:
        return len(self.after)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Task]:
        return iter(self.tasks)

    @property
    def tasks(self) -> list[Task]:
        """The tasks that wait, in decorated order."""
        self.after[:] = [entry if isinstance(entry, Task) else plain(entry, self) for entry in self.after]
        return list(self.after)

    def take(self) -> HeldTask:
        """Take the first task off the list, to be run by the test.

        :raises IndexError: there is none.
        """
        task = self.tasks[0]
        del self.after[0]
        return HeldTask(task)

    def run(self, status: int | None = None, *, client_left: bool = False) -> list[Task]:
        """Run what waits as after a response with this status: on this thread, in decorated order, each past its own gate, and what the
        tasks themselves queue as well.

        :param status: default is that of the last response that Django's test client had in the block, else 200.
        :param client_left: as if the client had left before it had the last byte.
        :returns: the tasks that waited; their ``state`` says what became of each.
        :raises Exception: what the first task that failed has raised; the others have run all the same.
        """
        tasks = self.tasks
        errors = self.finish(int(self.code) if status is None else status, client_left=client_left)
        if errors:
            raise errors[0]
        return tasks

    def finish(self, status: int, *, client_left: bool = False) -> list[BaseException]:
        """As `run`, but gives what the tasks have raised."""
        self.code, self.gone, self.out_at = str(status), client_left, time.monotonic()
        here = _Here()
        here.follow(self)
        return here.errors

    def drop(self) -> None:
        """Cancel what waits."""
        for task in self.tasks:
            task.cancel()
        self.after.clear()


@contextmanager
def held_traffic() -> Iterator[HeldTraffic]:
    """Hold the tasks that the code in the block queues, instead of running them; what is left at its end is cancelled.

    ::

        with held_traffic() as traffic:
            order(request)
            assert [task.name for task in traffic] == ["send_receipt"]
            traffic.run(status=201)

    Holds for the block's thread, and for tasks and threads that copy its context.
    """
    traffic = HeldTraffic()
    token = current.set(traffic)
    try:
        yield traffic
    finally:
        current.reset(token)
        traffic.drop()


class AsyncTestMixin(unittest.TestCase):
    """Add it to a test case, before its other bases: the tasks of each test are held.

    :ivar crosstown: the `HeldTraffic` of the test.
    """

    def setUp(self) -> None:
        super().setUp()
        held = held_traffic()
        self.crosstown = held.__enter__()
        self.addCleanup(held.__exit__, None, None, None)

    def assertNumCrosstownTasks(self, number: int) -> None:
        """So many tasks wait."""
        names = ", ".join(task.name for task in self.crosstown) or "none"
        self.assertEqual(len(self.crosstown), number, f"the tasks that wait: {names}")

    def next_task(self) -> HeldTask:
        """Take the first task off the list; a call of it runs it.

        :raises StopIteration: "No more tasks."
        """
        try:
            return self.crosstown.take()
        except IndexError:
            raise StopIteration("No more tasks.") from None
