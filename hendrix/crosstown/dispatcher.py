"""Runs the tasks of responses on the crew: in their order, never so many that requests starve, never losing one in silence.

The rules:

- Rule 1: the tasks of a response start in decorated order. Those that are ``same_thread`` run one after another on the thread that served
  it; the others side by side on the crew; the ``serial`` ones among them one after another. A task that is queued in another starts
  when that one has ended. A ``same_thread`` task that comes when the thread that served has gone on is ``serial``.
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
from hendrix.crosstown.task import FAILED, Task, name_of
from hendrix.threads.worker import Worker

log = Logger(namespace="hendrix.crosstown")

# Tasks that may wait for a thread.
QUEUE = 10000


class Response(Protocol):
    """What the tasks of a response wait for.

    :ivar after: the tasks, and plain callables, in the order in which they were decorated.
    :ivar code: the status that was sent, three digits, or "".
    :ivar failed: the application raised.
    :ivar last: the serial task that the next one waits for.
    :ivar gone: the client left before it could have the last byte.
    :ivar out_at: when the last byte left, as `time.monotonic` says it.
    """

    after: list[Any]
    code: str
    failed: bool
    last: Task | None
    gone: bool
    out_at: float

    @property
    def title(self) -> str:
        """Method and path, for logs."""


class Crew(Protocol):
    """Where tasks run."""

    def submit(self, job: Any) -> None: ...


class Surrounded(Protocol):
    """What runs on the crew for an application: a task, or a handler of a connection.

    :ivar inline: it runs in the middle of its author's work, on the author's thread.
    :ivar origin: what it follows, "" if nothing.
    """

    @property
    def inline(self) -> bool: ...
    @property
    def origin(self) -> str: ...


# Called with each task around its run, on its thread. `hendrix.django` looks after database connections with it.
around: list[Callable[[Surrounded], AbstractContextManager[Any]]] = []


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
        self._held: dict[Task, Response | None] = {}  # those that have passed the gate and not begun, in their order
        self._pending: set[Response] = set()
        self._following: set[Response] = set()
        self.running: set[Task] = set()
        self._over = False
        self.done = self.failed = self.stopped = self.cancelled = self.overflowed = 0
        self.slowest_start = 0.0
        self.on_error: Callable[[Task, BaseException], None] | None = None

    # A task is queued. Any thread.

    def admit(self, task: Task) -> None:
        """See that there is what the task asks for, before it is queued.

        :raises NoProcesses: it asks for a process, and there are none.
        """
        if task.portable is not None:
            if self._pool is None:
                raise NoProcesses(f"{task.name}: process=True needs worker processes: start hendrix with --crosstown-processes=1 or more")
            task.portable.pool = self._pool

    def queue(self, response: Response, task: Task) -> None:
        """The task is to run after this response. Whoever calls looks afterwards whether the response is out already."""
        with self._lock:
            self._pending.add(response)
            response.after.append(task)

    def expect(self, response: Response) -> None:
        """There are tasks in the response's list that were put there by hand: the process must not end before them."""
        with self._lock:
            self._pending.add(response)

    # The response is out. On a thread of the crew.

    def follow(self, response: Response, serving: bool = False) -> None:
        """Start its tasks.

        :param serving: this is the thread that served the request: those that are ``same_thread`` run here, before this returns.
        """
        while True:
            with self._lock:
                if response in self._following:
                    return  # whoever is at it takes all
                if not response.after:
                    self._pending.discard(response)
                    return
                self._following.add(response)
                self._pending.add(response)
            try:
                self._follow(response, serving)
            finally:
                with self._lock:
                    self._following.discard(response)

    def _follow(self, response: Response, serving: bool) -> None:
        own: Task | None = None
        for task in self._passed(response):
            if task.same_thread and serving:
                # It starts before the tasks behind it do, and runs while they do.
                self._call(own, response)
                own = task if self._begin(task) else None
                continue
            if task.serial or task.same_thread:
                before, response.last = response.last, task
                if before is not None and before.before(task):
                    continue
            self.submit(task, response)
        self._call(own, response)

    def _passed(self, response: Response) -> Iterator[Task]:
        """The tasks that the gate lets through, one by one: a task that runs here may queue another."""
        code = 500 if response.failed else int(response.code or 500)
        while True:
            with self._lock:
                if not response.after:
                    return
                task = response.after.pop(0)
                if not isinstance(task, Task):
                    task = plain(task)
                self._held[task] = response
            task.origin, task.queued = response.title, max(task.queued, response.out_at)
            if code in task.no_go:
                self._drop(task, stopped=task.stop(code))
            elif response.gone and task.on_disconnect == "skip":
                task.cancel()
                self._drop(task)
            else:
                yield task

    def submit(self, task: Task, response: Response | None = None, bounded: bool = True) -> None:
        """Run it on the crew or in a process, now or when there is room; here if too many wait.

        :param bounded: False for a task that has been waiting already.
        """
        over = place = False
        lane = self._on_threads if task.portable is None else self._on_processes
        with self._lock:
            if self._over:
                over = True
            else:
                self._held[task] = response
                if lane.places < lane.size:
                    lane.places += 1
                    place = True
                elif len(lane.waiting) < self._queue or not bounded:
                    lane.waiting.append(task)
                    return
                else:
                    self.overflowed += 1
        if over:
            self._refuse(task)
        elif place:
            lane.crew.submit(Place(self, lane, task))
        else:
            log.warn("{count} tasks wait for a thread: {name} runs on the thread of its request", count=self._queue, name=task.name)
            self.run(task)

    def run(self, task: Task) -> None:
        """Run it here and now."""
        with self._lock:
            response = self._held.get(task)
        if self._begin(task):
            self._call(task, response)
        else:
            self._after(task, response)

    def _refuse(self, task: Task) -> None:
        if task.cancel():
            self._drop(task)
            log.error("the task {name} of {origin} was not run: the process ends", name=task.name, origin=task.origin or "a response")

    def leave(self, lane: Lane) -> Task | None:
        """A place is free: the next task for it, or None and the place is gone."""
        with self._lock:
            if lane.waiting:
                return lane.waiting.popleft()
            lane.places -= 1
            return None

    # Running.

    def _begin(self, task: Task) -> bool:
        began = task.begin()
        with self._lock:
            self._held.pop(task, None)
            if began:
                self.running.add(task)
                self.slowest_start = max(self.slowest_start, task.started - task.queued)
            elif not self._over:
                self.cancelled += 1
        return began

    def _call(self, task: Task | None, response: Response | None = None) -> None:
        """Call a task that has begun. Never raises."""
        if task is None:
            return
        surrounded(task)
        if task.state == FAILED:
            self._report(task)
        self._after(task, response)

    def _after(self, task: Task, response: Response | None) -> None:
        """It has ended. What waits for that starts before it is forgotten, so that the process is never idle in between."""
        following, nested = task.followers()
        if following is not None:
            self.submit(following, response, bounded=False)
        for inner in nested:
            assert response is not None
            self.queue(response, inner)
        with self._lock:
            if task in self.running:
                self.running.discard(task)
                if task.state == FAILED:
                    self.failed += 1
                else:
                    self.done += 1
        if nested and response is not None:
            self.follow(response)

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

    def _drop(self, task: Task, stopped: bool = False) -> None:
        """It will never run: the gate stopped it, or it was cancelled."""
        with self._lock:
            self._held.pop(task, None)
            if stopped:
                self.stopped += 1
            else:
                self.cancelled += 1

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
        """Cancel what has not started, and let nothing start any more; gives the tasks, for the log."""
        with self._lock:
            self._over = True
            tasks = list(self._held)
            for running in self.running:
                tasks += running.waiting()
            for response in self._pending:
                response.after[:] = [entry if isinstance(entry, Task) else plain(entry) for entry in response.after]
                tasks += response.after
            for lane in self._lanes:
                lane.waiting.clear()
            self._held.clear()
            cancelled = [task for task in tasks if task.cancel()]
            self.cancelled += len(cancelled)
        return cancelled

    def overdue(self) -> list[Task]:
        """The running tasks whose warning is due; each once."""
        now = time.monotonic()
        with self._lock:
            late = [task for task in self.running if task.timeout_warning is not None and now - task.started > task.timeout_warning]
        for task in late:
            task.timeout_warning = None
        return late


def plain(function: Any) -> Task:
    """A task of a function that was put into ``environ["hendrix.after_response"]``."""
    return Task(function, name_of(function), parse(DEFAULT))


class Place:
    """A `Job` of the crew, or of the pool, which has no workers: a task, and after it a place for the next that waits."""

    __slots__ = ("_dispatcher", "_lane", "_task")

    def __init__(self, dispatcher: Dispatcher, lane: Lane, task: Task) -> None:
        self._dispatcher, self._lane, self._task = dispatcher, lane, task

    @property
    def title(self) -> str:
        """What runs, for people (any thread)."""
        return f"task {self._task.name} of {self._task.origin or 'no response'}"

    def run(self, worker: Worker | None) -> None:
        if worker is not None:
            worker.dispatch()  # no answer waits for a task
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

    @property
    def title(self) -> str:
        return f"tasks of {self._response.title}"

    def run(self, worker: Worker) -> None:
        worker.dispatch()
        self._dispatcher.follow(self._response)
