"""Runs the tasks of responses on the crew: in their order, never so many that requests starve, never losing one in silence.

The rules:

- Rule 1: the tasks of a response start in decorated order. Those that are ``same_thread`` run one after another on the thread that served
  it; the others side by side on the crew; the ``serial`` ones among them one after another.
- Rule 2: at most ``threads`` tasks run on the crew at a time; the next ones wait. When ``queue`` tasks wait, a further one runs on the
  thread that brings it, which is logged: nothing is dropped.
- Rule 3: a task that raises is logged with its request, and the next one runs.
- Rule 4: one thread at a time follows a response, and it takes what is to be done from the list by ``pop``: each task starts once.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Protocol

from twisted.logger import Logger
from twisted.python.failure import Failure

from hendrix.crosstown.gate import DEFAULT, parse
from hendrix.crosstown.processes import NoProcesses, Pool, RemoteTraceback
from hendrix.crosstown.task import FAILED, Task

log = Logger(namespace="hendrix.crosstown")

# Tasks that may wait for a thread.
QUEUE = 10000


class Response(Protocol):
    """What the tasks of a response wait for.

    :ivar after: the tasks, and plain callables, in the order in which they were decorated.
    :ivar code: the status that was sent, three digits, or "".
    :ivar gone: the client left before it could have the last byte.
    :ivar out_at: when the last byte left, as `time.monotonic` says it.
    """

    after: list[Any]
    code: str
    gone: bool
    out_at: float

    @property
    def title(self) -> str:
        """Method and path, for logs."""


class Crew(Protocol):
    """Where tasks run."""

    def submit(self, job: Any) -> None: ...


# Called with each task around its run, on its thread. `hendrix.django` looks after database connections with it.
around: list[Callable[[Task], AbstractContextManager[Any]]] = []


def surrounded(task: Task) -> None:
    """Call a task that has begun, with what is `around` it. Never raises; the task has ended."""
    try:
        with ExitStack() as stack:
            for manager in around:
                stack.enter_context(manager(task))
            task.call()
    except BaseException as error:
        log.failure("what surrounds the task {name} raised", name=task.name)
        task.fail(error)


class Lane:
    """Where tasks run, so many at a time; the others wait. The dispatcher's lock guards it."""

    def __init__(self, crew: Crew, size: int) -> None:
        self.crew, self.size = crew, size
        self.waiting: deque[Task] = deque()
        self.places = 0


class Dispatcher:
    """One for a process.

    :param crew: has the threads.
    :param threads: tasks that run on it at a time.
    :param queue: tasks that may wait.
    :param pool: has the processes for tasks that ask for one.

    :ivar on_error: called with a task that failed, and what it raised, on its thread.
    """

    def __init__(self, crew: Crew, threads: int, queue: int = QUEUE, pool: Pool | None = None) -> None:
        self.crew, self._queue, self._pool = crew, queue, pool
        self._lock = threading.Lock()  # guards all below
        self._on_threads = Lane(crew, threads)
        self._on_processes = Lane(pool, pool.size) if pool else self._on_threads
        self._lanes = {self._on_threads, self._on_processes}
        self._pending: set[Response] = set()
        self._following: set[Response] = set()
        self.running: set[Task] = set()
        self.done = self.failed = self.stopped = self.cancelled = self.overflowed = 0
        self.slowest_start = 0.0
        self.on_error: Callable[[Task, BaseException], None] | None = None

    # A task is queued. Any thread.

    def queue(self, response: Response, task: Task) -> None:
        """The task is to run after this response. Whoever calls looks afterwards whether the response is out already.

        :raises NoProcesses: it asks for a process, and there are none.
        """
        if task.portable is not None:
            if self._pool is None:
                raise NoProcesses(f"{task.name}: process=True needs worker processes: start hendrix with --crosstown-processes=1 or more")
            task.portable.pool = self._pool
        with self._lock:
            self._pending.add(response)
        response.after.append(task)

    # The response is out. On a thread of the crew.

    def follow(self, response: Response) -> None:
        """Start its tasks. Those that are ``same_thread`` run here, before this returns."""
        while response.after:
            with self._lock:
                if response in self._following:
                    return  # whoever is at it takes all
                self._following.add(response)
            try:
                self._follow(response)
            finally:
                with self._lock:
                    self._following.discard(response)
                    self._pending.discard(response)

    def _follow(self, response: Response) -> None:
        own: Task | None = None
        last: Task | None = None
        for task in self._passed(response):
            if task.same_thread:
                # It starts before the tasks behind it do, and runs while they do.
                self._call(own)
                own = task if self._begin(task) else None
            elif task.serial and last is not None and last.before(task):
                last = task
            else:
                last = task if task.serial else last
                self.submit(task)
        self._call(own)

    def _passed(self, response: Response) -> Iterator[Task]:
        """The tasks that the gate lets through, one by one: a task that runs here may queue another."""
        while True:
            try:
                entry = response.after.pop(0)
            except IndexError:
                return
            task = entry if isinstance(entry, Task) else Task(entry, getattr(entry, "__qualname__", repr(entry)), parse(DEFAULT))
            task.origin, task.queued = response.title, response.out_at
            code = int(response.code or 500)
            if code in task.no_go:
                self._count("stopped", task.stop(code))
            elif response.gone and task.on_disconnect == "skip":
                self._count("cancelled", task.cancel())
            else:
                yield task

    def submit(self, task: Task) -> None:
        """Run it on the crew or in a process, now or when there is room; here if too many wait."""
        lane = self._on_threads if task.portable is None else self._on_processes
        with self._lock:
            if lane.places < lane.size:
                lane.places += 1
                place = True
            elif len(lane.waiting) < self._queue:
                lane.waiting.append(task)
                return
            else:
                self.overflowed += 1
                place = False
        if place:
            lane.crew.submit(Place(self, lane, task))
        else:
            log.warn("{count} tasks wait for a thread: {name} runs on the thread of its request", count=self._queue, name=task.name)
            self.run(task)

    def run(self, task: Task) -> None:
        """Run it here and now."""
        if self._begin(task):
            self._call(task)

    def leave(self, lane: Lane) -> Task | None:
        """A place is free: the next task for it, or None and the place is gone."""
        with self._lock:
            if lane.waiting:
                return lane.waiting.popleft()
            lane.places -= 1
            return None

    # Running.

    def _begin(self, task: Task) -> bool:
        if not task.begin():
            self._count("cancelled", True)
            return False
        with self._lock:
            self.running.add(task)
            self.slowest_start = max(self.slowest_start, task.started - task.queued)
        return True

    def _call(self, task: Task | None) -> None:
        """Call a task that has begun. Never raises."""
        if task is None:
            return
        surrounded(task)
        if task.state == FAILED:
            self._report(task)
        with self._lock:
            self.running.discard(task)
            if task.state == FAILED:
                self.failed += 1
            else:
                self.done += 1
        for follower in task.followers():
            self.submit(follower)

    def _report(self, task: Task) -> None:
        error = task.error
        assert error is not None
        there = error.__cause__ if isinstance(error.__cause__, RemoteTraceback) else ""
        origin = task.origin or "no response"
        log.failure("the task {name} of {origin} failed{there}", Failure(error), name=task.name, origin=origin, there=there)
        if self.on_error is not None:
            try:
                self.on_error(task, error)
            except Exception:
                log.failure("crosstown_traffic.on_error raised")

    def _count(self, name: str, happened: bool) -> None:
        if happened:
            with self._lock:
                setattr(self, name, getattr(self, name) + 1)

    # The service.

    @property
    def waiting(self) -> int:
        """How many tasks wait for a thread, of responses that are out."""
        return sum(len(lane.waiting) for lane in self._lanes)

    @property
    def idle(self) -> bool:
        """Whether nothing runs, waits, or will come of a response."""
        with self._lock:
            return not (self.running or self._pending or any(lane.waiting or lane.places for lane in self._lanes))

    def abandon(self) -> list[Task]:
        """Cancel what has not started; gives the tasks, for the log."""
        with self._lock:
            tasks = [task for lane in self._lanes for task in lane.waiting]
            tasks += (task for response in self._pending for task in response.after if isinstance(task, Task))
            for lane in self._lanes:
                lane.waiting.clear()
        return [task for task in tasks if task.cancel()]

    def overdue(self) -> list[Task]:
        """The running tasks whose warning is due; each once."""
        now = time.monotonic()
        with self._lock:
            late = [task for task in self.running if task.timeout_warning is not None and now - task.started > task.timeout_warning]
        for task in late:
            task.timeout_warning = None
        return late


class Place:
    """A `Job` of the crew: a task, and after it a place for the next that waits."""

    __slots__ = ("_dispatcher", "_lane", "_task")

    def __init__(self, dispatcher: Dispatcher, lane: Lane, task: Task) -> None:
        self._dispatcher, self._lane, self._task = dispatcher, lane, task

    def run(self, worker: object) -> None:
        dispatcher = self._dispatcher
        dispatcher.run(self._task)
        task = dispatcher.leave(self._lane)
        if task is not None:
            # Stand in line again: requests have waited, too.
            self._task = task
            self._lane.crew.submit(self)


class Follow:
    """A `Job` of the crew: the tasks of a response that went out on another thread's watch."""

    __slots__ = ("_dispatcher", "_response")

    def __init__(self, dispatcher: Dispatcher, response: Response) -> None:
        self._dispatcher, self._response = dispatcher, response

    def run(self, worker: object) -> None:
        self._dispatcher.follow(self._response)
