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
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from hendrix.crosstown import around
from hendrix.crosstown.counts import Counts
from hendrix.crosstown.gate import DEFAULT, parse
from hendrix.crosstown.jobs import Crew, Follow, Lane, Place
from hendrix.crosstown.processes import NoProcesses, Pool, RemoteTraceback
from hendrix.crosstown.task import FAILED, Response, Task, name_of

log = Logger(namespace="hendrix.crosstown")

# Tasks that may wait for a thread.
QUEUE = 10000


class Dispatcher:
    """One for a process.

    :param crew: has the threads.
    :param threads: tasks that run on it at a time.
    :param queue: tasks that may wait.
    :param pool: has the processes for tasks that ask for one.
    :param patience: threads that have served a request and wait for its client, at most; default is ``threads``.

    :ivar in_line: the jobs that stand among the requests in the crew's queue, for those who ask how long that is.
    :ivar on_threads: the lane of the tasks that run on the crew.
    :ivar on_error: called with a task that failed, and what it raised, on its thread.
    """

    def __init__(self, crew: Crew, threads: int, queue: int = QUEUE, pool: Pool | None = None, patience: int | None = None) -> None:
        self.crew, self._queue, self._pool = crew, queue, pool
        self._patience = threads if patience is None else patience
        self.in_line: deque[Follow] = deque()
        self._lock = threading.Lock()  # guards all below
        self.on_threads = Lane(crew, threads)
        self._on_processes = Lane(pool, pool.size) if pool else self.on_threads
        self._lanes = {self.on_threads, self._on_processes}
        self._held: dict[Task, None] = {}  # those that have passed the gate and not begun, in their order
        self._pending: set[Response] = set()
        self._following: set[Response] = set()
        self._kept_waiting = 0
        self.running: set[Task] = set()
        self._over = False
        self.counts = Counts()
        self.on_error: Callable[[Task, BaseException], None] | None = None

    # A task is queued. Any thread.

    def admit(self, task: Task) -> None:
        """See that there are processes for a task that asks for one, before it is queued.

        :raises NoProcesses: there are none.
        """
        assert task.portable is not None
        if self._pool is None:
            raise NoProcesses(f"{task.name}: process=True needs worker processes: start hendrix with --crosstown-processes=1 or more")
        task.portable.pool = self._pool

    def queue(self, response: Response, task: Task) -> None:
        """The task is to run after this response. Whoever calls looks afterwards whether the response is out already."""
        task.response = response
        with self._lock:
            self._pending.add(response)
            response.after.append(task)

    def expect(self, response: Response) -> None:
        """There are tasks in the response's list that were put there by hand: the process must not end before them."""
        with self._lock:
            self._pending.add(response)

    def keep_waiting(self) -> bool:
        """Whether the thread that asks, which has served a request, may wait for its client: there must be others left to serve. When it
        has waited it says `kept`."""
        with self._lock:
            may = self._kept_waiting < self._patience
            self._kept_waiting += may
        return may

    def kept(self) -> None:
        """It goes on."""
        with self._lock:
            self._kept_waiting -= 1

    # The response is out. On a thread of the crew, unless it says otherwise.

    def is_out(self, response: Response) -> None:
        """Its tasks may start: as soon as there is a thread (any thread; it does no work)."""
        job = Follow(self, response)
        self.in_line.append(job)
        self.crew.submit(job)

    def follow(self, response: Response, serving: bool = False, here: bool = False) -> Task | None:
        """Start its tasks.

        :param serving: this is the thread that served the request: those that are ``same_thread`` run here, before this returns.
        :param here: one may run on this thread, which is of the crew: it is returned and has begun, and the caller is to `call` it.
        """
        with self._lock:
            if response in self._following:
                return None  # whoever is at it takes all
            if not response.after:
                self._pending.discard(response)
                return None
            if here and len(response.after) == 1:
                task = self._only(response)
                if task is not None:
                    return task
            self._following.add(response)
        try:
            return self._follow(response, serving, here)
        except BaseException:
            with self._lock:
                self._following.discard(response)
            raise

    def _only(self, response: Response) -> Task | None:
        """The common case in one step (under the lock): a single task that may start at once. Gives it, begun; None goes the long way."""
        task, lane = response.after[0], self.on_threads
        if not isinstance(task, Task) or task.serial or task.same_thread or task.portable is not None or response.failed or response.gone:
            return None
        if int(response.code or 500) in task.no_go or lane.places >= lane.size or self._over or not task.begin():
            return None
        del response.after[0]
        self._pending.discard(response)
        lane.places += 1
        self.running.add(task)
        self.counts.started(task, max(task.queued, response.out_at))
        return task

    def _follow(self, response: Response, serving: bool, here: bool) -> Task | None:
        code = 500 if response.failed else int(response.code or 500)
        own = begun = None
        while True:
            # One by one: a task that runs here may queue another.
            task = self._next(response, last=own is None)
            if task is None:
                if own is None:
                    return begun
                self.call(own)
                own = None
            elif code in task.no_go:
                self._stop(task, code)
            elif response.gone and task.on_disconnect == "skip":
                task.cancel()
                self._drop(task)
            elif task.same_thread and serving:
                # It starts before the tasks behind it do, and runs while they do.
                if own is not None:
                    self.call(own)
                own = task if self._begin(task) else None
            elif (task.serial or task.same_thread) and self._stands_behind(response, task):
                pass
            else:
                if begun is not None and len(self._lane(task).waiting) >= self._queue:
                    self.call(begun, self.on_threads)  # not behind those that find no room
                    begun = None
                if self.submit(task, here=here and begun is None):
                    begun = task

    def _next(self, response: Response, last: bool) -> Task | None:
        """The next task of the response. None if there is none; then nobody follows it any longer, if this is to be the last look."""
        with self._lock:
            if response.after:
                task = response.after.pop(0)
                if not isinstance(task, Task):
                    task = plain(task, response)
                if task.queued < response.out_at:
                    task.queued = response.out_at
                self._held[task] = None
                return task
            if last:
                self._following.discard(response)
                self._pending.discard(response)
        return None

    def _stands_behind(self, response: Response, task: Task) -> bool:
        """Have it start when the serial task before it has ended. False if there is none."""
        before, response.last = response.last, task
        return before is not None and before.before(task)

    def submit(self, task: Task, *, here: bool = False, bounded: bool = True) -> bool:
        """Run it on the crew or in a process, now or when there is room; on this thread if too many wait.

        :param here: see `follow`. True is returned if it is to run here, and has begun.
        :param bounded: False for a task that has been waiting already.
        """
        lane = self._lane(task)
        with self._lock:
            over, place = self._over, lane.places < lane.size
            if not over:
                self._held[task] = None
                if place:
                    lane.places += 1
                elif len(lane.waiting) < self._queue or not bounded:
                    lane.waiting.append(task)
                    return False
                else:
                    self.counts.overflowed += 1
        if over:
            self._refuse(task)
        elif not place:
            log.warn("{count} tasks wait for a thread: {name} runs on the thread of its request", count=self._queue, name=task.name)
            self.run(task)
        elif not here or lane is not self.on_threads:
            lane.crew.submit(Place(self, lane, task))
        elif self._begin(task):
            return True
        else:  # cancelled meanwhile
            self._after(task, lane)
        return False

    def _lane(self, task: Task) -> Lane:
        return self.on_threads if task.portable is None else self._on_processes

    def run(self, task: Task, lane: Lane | None = None) -> None:
        """Run it here and now; it has a place in this lane."""
        if self._begin(task):
            self.call(task, lane)
        else:
            self._after(task, lane)

    def _refuse(self, task: Task) -> None:
        if task.cancel():
            log.error("the task {name} of {origin} was not run: the process ends", name=task.name, origin=task.origin)
            self._drop(task)

    # Running.

    def _begin(self, task: Task) -> bool:
        began = task.begin()
        with self._lock:
            self._held.pop(task, None)
            if began:
                self.running.add(task)
                self.counts.started(task, task.queued)
            elif not self._over:
                self.counts.dropped(task)
        return began

    def call(self, task: Task, lane: Lane | None = None) -> None:
        """Call a task that has begun, and has a place in this lane. Never raises."""
        if around.around:
            around.surrounded(task)
        else:
            task.call()
        if task.state == FAILED:
            self._report(task)
        self._after(task, lane)

    def _after(self, task: Task, lane: Lane | None = None) -> None:
        """It has ended. What waits for that starts before it is forgotten, so that the process is never idle in between."""
        following, nested = task.followers()
        if following is not None:
            self.submit(following, bounded=False)
        response, task.response = task.response, None
        if nested is not None:
            assert response is not None
            for inner in nested:
                self.queue(response, inner)
        with self._lock:
            if task in self.running:
                self.running.discard(task)
                self.counts.ended(task)
            if lane is not None:
                if lane.waiting:
                    # Its place is for the next, which stands in line: requests have waited, too.
                    lane.crew.submit(Place(self, lane, lane.waiting.popleft()))
                else:
                    lane.places -= 1
        if nested is not None and response is not None:
            self.follow(response)

    def _report(self, task: Task) -> None:
        error = task.error
        assert error is not None
        there = error.__cause__ if isinstance(error.__cause__, RemoteTraceback) else ""
        origin = task.origin if task.response is None else f"{task.origin} (id {task.response.request_id})"
        log.failure("the task {name} of {origin} failed{there}", Failure(error), name=task.name, origin=origin, there=there)
        if self.on_error is not None:
            try:
                self.on_error(task, error)
            except Exception:
                log.failure("crosstown_traffic.on_error raised")

    def _stop(self, task: Task, code: int) -> None:
        """The gate does not let it through."""
        try:
            task.stop(code)
        except Exception:
            log.failure("what hears that the status stopped the task {name} raised", name=task.name)
        self._drop(task)

    def _drop(self, task: Task) -> None:
        """It will never run: the gate stopped it, or it was cancelled."""
        task.response = None
        with self._lock:
            self._held.pop(task, None)
            self.counts.dropped(task)

    # The service.

    @property
    def waiting(self) -> int:
        """How many tasks wait for a thread, of responses that are out."""
        return sum(len(lane.waiting) for lane in self._lanes)

    def numbers(self) -> dict[str, int | float]:
        """What is now, and what was so far: see `Counts`. ``queued`` are those that have not started, whatever they wait for."""
        with self._lock:
            queued = len(self._held) + sum(len(response.after) for response in self._pending)
            return {"queued": queued, "running": len(self.running), **self.counts.numbers()}

    def tasks(self) -> tuple[list[Task], list[Task]]:
        """Those that run, and those that have not begun, as far as they are known by name (any thread)."""
        with self._lock:
            pending = [task for response in self._pending for task in response.after if isinstance(task, Task)]
            return list(self.running), [*self._held, *pending]

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
                response.after[:] = [entry if isinstance(entry, Task) else plain(entry, response) for entry in response.after]
                tasks += response.after
            for lane in self._lanes:
                lane.waiting.clear()
            self._held.clear()
            cancelled = [task for task in tasks if task.cancel()]
            for task in cancelled:
                self.counts.dropped(task)
        return cancelled

    def overdue(self) -> list[Task]:
        """The running tasks whose warning is due; each once."""
        now = time.monotonic()
        with self._lock:
            late = [task for task in self.running if task.timeout_warning is not None and now - task.started > task.timeout_warning]
        for task in late:
            task.timeout_warning = None
        return late


def plain(function: Any, response: Response) -> Task:
    """A task of a function that was put into ``environ["hendrix.after_response"]``."""
    task = Task(function, name_of(function), parse(DEFAULT))
    task.response = response
    return task
