"""The crew: worker threads as a scheduler.

A Python process runs one thread at a time, so one worker runs for as long as it is not stuck, as one thread of Go's scheduler does:
it polls the `Source` for work, does all that is ready back to back, and sends what it has finished in one go. No request is handed
from one thread to another. A monitor watches: when every running worker is stuck inside a job (waiting for a database, say), it lets
another one in, up to the size of the crew. When it is quiet again, the extra workers leave.

The few steps that must never cross:

- *A job is submitted, a worker falls asleep.* `submit` appends and then looks for sleepers; a worker says that it sleeps and then looks
  at the queue. Whatever the interleaving, one of the two sees the other.
- *The monitor falls asleep, a worker begins a job.* The worker marks its job and then looks at the monitor's event; the monitor clears
  the event and then looks for marks.
- *A worker sends what it holds, and the monitor does so for it.* The worker's ``sending`` lock; the parcels go out in their order.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

# Seconds that a finished answer may wait for company, so that system calls come in batches and the caches stay warm between calls.
HOLD = 0.001
# Seconds in one job after which a worker counts as stuck.
STUCK = 0.002
# Seconds after which a busy worker looks for new input, so that neither a long queue nor a stream of jobs keeps others from being read.
LOOK = 0.005
# Rounds of the monitor without any work after which it, and the workers let in, go to sleep.
QUIET = 25

log = Logger(namespace="hendrix.threads")


class Job(Protocol):
    """A piece of work. What it raises is logged."""

    def run(self, worker: Worker, /) -> None: ...


class Parcel(Protocol):
    """Something finished that may wait for company before it is sent."""

    def dispatch(self) -> None: ...


class Source(Protocol):
    """Where jobs come from besides `Crew.submit`. Any worker may poll, several at once."""

    def poll(self, seconds: float) -> None:
        """Wait for input for so many seconds at most, for ever if negative; submit the jobs that came of it."""

    def wake(self) -> None:
        """Make a `poll` that waits return. Any thread."""


class Worker:
    """One thread of the crew.

    :ivar job: what it is doing, None between jobs.
    :ivar jobs: how many it has done.
    :ivar held: what is finished and waits to be sent.
    :ivar since: when the first of these was.
    """

    __slots__ = ("_clock", "held", "job", "jobs", "name", "sending", "since")

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self.name = name
        self.job: Job | None = None
        self.jobs = 0
        self.sending = threading.Lock()
        self._clock = clock
        self.held: deque[Parcel] = deque()
        self.since = 0.0

    def hold(self, parcel: Parcel) -> None:
        """Send this soon: within `HOLD`, or when there is nothing else to do (its own thread)."""
        if not self.held:
            self.since = self._clock()
        self.held.append(parcel)

    def dispatch(self) -> None:
        """Send all that is held, in order (its own thread, or the monitor)."""
        if self.held or self.sending.locked():
            with self.sending:
                self._dispatch()

    def dispatch_for_it(self) -> None:
        """The same, unless its own thread is at it (the monitor)."""
        if self.held and self.sending.acquire(blocking=False):
            try:
                self._dispatch()
            finally:
                self.sending.release()

    def _dispatch(self) -> None:
        held = self.held
        while held:
            try:
                held.popleft().dispatch()
            except Exception:
                log.failure("sending failed")


class Crew:
    """``size`` worker threads that run jobs.

    :param running: how many workers run when none is stuck: 1 with a global interpreter lock, the number of cores without.
    :param call_in_reactor: the reactor's ``callFromThread``.
    :param clock: seconds, monotonic.
    """

    def __init__(
        self,
        size: int,
        source: Source,
        call_in_reactor: Callable[..., Any],
        *,
        running: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.size = size
        self.workers = [Worker(f"crew-{number}", clock) for number in range(1, size + 1)]
        self._source, self._call_in_reactor, self._clock = source, call_in_reactor, clock
        self._ready: deque[Job] = deque()
        self._asleep: set[Worker] = set()
        self._running = self._least = min(running, size)
        self._surplus = 0
        self._counting = threading.Lock()  # guards _running, _surplus and _alive
        self._gate = threading.Semaphore(self._running)
        self._work_began = threading.Event()
        self._quitting = False
        self._alive = 0
        self._gone: Deferred[None] | None = None

    # Any thread.

    def submit(self, job: Job) -> None:
        """Have a worker run the job."""
        self._ready.append(job)
        if self._asleep:
            self._source.wake()

    @property
    def backlog(self) -> int:
        """How many jobs wait for a worker."""
        return len(self._ready)

    @property
    def busy(self) -> int:
        """How many workers are in a job."""
        return sum(worker.job is not None for worker in self.workers)

    # The reactor thread.

    def start(self) -> None:
        self._alive = self.size + 1
        for worker in self.workers:
            threading.Thread(target=self._live, args=(self._work, worker), name=worker.name, daemon=True).start()
        threading.Thread(target=self._live, args=(self._watch,), name="crew-monitor", daemon=True).start()

    def quit(self) -> Deferred[None]:
        """End the threads, each after the job it is in. Fires when the last one has ended."""
        self._gone = Deferred()
        self._quitting = True
        for _ in self.workers:
            self._gate.release()
        self._work_began.set()
        self._source.wake()
        if not self._alive:
            self._gone.callback(None)
        return self._gone

    # The threads.

    def _live(self, body: Callable[..., None], *args: Worker) -> None:
        try:
            body(*args)
        except BaseException:
            log.failure("a thread of the crew ended: this is a bug in hendrix")
        with self._counting:
            self._alive -= 1
            last = not self._alive
        if last and self._gone is not None:
            self._call_in_reactor(self._gone.callback, None)
        else:
            self._source.wake()

    def _work(self, worker: Worker) -> None:
        ready, clock, began = self._ready, self._clock, self._work_began
        self._gate.acquire()
        looked = clock()
        while not self._quitting:
            try:
                job = ready.popleft()
            except IndexError:
                job = None
            if job is None:  # not in the handler: what the application raises must not seem to come of it
                worker.dispatch()
                if self._surplus and self._leave():
                    self._gate.acquire()
                else:
                    self._sleep(worker)
                looked = clock()
                continue
            worker.job = job
            if not began.is_set():
                began.set()
            try:
                job.run(worker)
            except BaseException:
                log.failure("a job raised: this is a bug in hendrix")
            worker.job = None
            worker.jobs += 1
            now = clock()
            if worker.held and now - worker.since > HOLD:
                worker.dispatch()
            if now - looked > LOOK:
                self._source.poll(0)
                looked = now
        worker.dispatch()

    def _sleep(self, worker: Worker) -> None:
        self._asleep.add(worker)
        try:
            self._source.poll(0 if self._ready or self._quitting else -1)
        finally:
            self._asleep.discard(worker)

    def _leave(self) -> bool:
        with self._counting:
            if not self._surplus or self._running <= self._least:
                return False
            self._surplus -= 1
            self._running -= 1
            return True

    def _watch(self) -> None:
        """The monitor."""
        workers, began = self.workers, self._work_began
        quiet = 0
        stuck = 0
        while not self._quitting:
            began.wait()
            seen = [worker.jobs for worker in workers]
            if stuck and stuck >= self.size:
                # Nobody is left to read: what comes in now must still find its place in the queue, or hear that it is full.
                self._source.poll(STUCK)
            else:
                time.sleep(STUCK)
            stuck = 0
            for worker, jobs in zip(workers, seen):
                if worker.job is not None and worker.jobs == jobs:
                    stuck += 1
                    worker.dispatch_for_it()
            if stuck >= self._running and self._running < self.size:
                with self._counting:
                    self._running += 1
                    self._surplus = 0
                self._gate.release()
            moved = stuck or any(worker.jobs != jobs for worker, jobs in zip(workers, seen))
            quiet = 0 if moved else quiet + 1
            if quiet > QUIET:
                quiet = 0
                self._rest()

    def _rest(self) -> None:
        with self._counting:
            self._surplus = self._running - self._least
        self._work_began.clear()
        if self._ready or self._quitting or any(worker.job is not None for worker in self.workers):
            self._work_began.set()
