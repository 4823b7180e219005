"""The jobs of the crew that run tasks, and where tasks wait for one."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from hendrix.crosstown.task import Response, Task
from hendrix.threads.worker import Worker

if TYPE_CHECKING:
    from hendrix.crosstown.dispatcher import Dispatcher


class Crew(Protocol):
    """Where tasks run.

    :ivar size: how many threads it has.
    """

    size: int

    def submit(self, job: Any) -> None: ...


class Lane:
    """Where tasks run, so many at a time; the others wait. The dispatcher's lock guards it."""

    def __init__(self, crew: Crew, size: int) -> None:
        self.crew, self.size = crew, size
        self.waiting: deque[Task] = deque()
        self.places = 0


class Place:
    """A `Job` of the crew, or of the pool, which has no workers: a task that has a place there."""

    __slots__ = ("_dispatcher", "_lane", "_task")

    def __init__(self, dispatcher: Dispatcher, lane: Lane, task: Task) -> None:
        self._dispatcher, self._lane, self._task = dispatcher, lane, task

    @property
    def title(self) -> str:
        """What runs, for people (any thread)."""
        return f"task {self._task.name} of {self._task.origin}"

    def run(self, worker: Worker | None) -> None:
        if worker is not None:
            worker.dispatch()  # no answer waits for a task
        self._dispatcher.run(self._task, self._lane)


class Follow:
    """A `Job` of the crew: the tasks of a response that is out, the first of them here."""

    __slots__ = ("_dispatcher", "_response", "_task")

    def __init__(self, dispatcher: Dispatcher, response: Response) -> None:
        self._dispatcher, self._response = dispatcher, response
        self._task: Task | None = None

    @property
    def title(self) -> str:
        """What runs, for people (any thread)."""
        task = self._task
        return f"task {task.name} of {self._response.title}" if task is not None else f"tasks of {self._response.title}"

    def run(self, worker: Worker) -> None:
        self._dispatcher.in_line.popleft()
        worker.dispatch()  # no answer waits for a task
        task = self._task = self._dispatcher.follow(self._response, here=True)
        if task is not None:
            self._dispatcher.call(task, self._dispatcher.on_threads)
