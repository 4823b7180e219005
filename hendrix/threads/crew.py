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
- *Workers are let in and leave.* ``_running`` and ``_surplus`` change under one lock, and every release of the gate has its acquire.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from hendrix.threads.monitor import Monitor, Source
from hendrix.threads.worker import Job, Worker

# Seconds that a finished answer may wait for company, so that system calls come in batches and the caches stay warm between calls.
HOLD = 0.001
# Seconds after which a busy worker looks for new input, so that neither a long queue nor a stream of jobs keeps others from being read.
LOOK = 0.005

# Pieces of input that a worker takes at once when it runs alone. Few enough that the last of them has not waited long.
BATCH = 64

log = Logger(namespace="hendrix.threads")


class Crew:
    """``size`` worker threads that run jobs.

    :param running: how many workers run when none is stuck: 1 with a global interpreter lock, the number of cores without.
    :param call_in_reactor: the reactor's ``callFromThread``.
    :param clock: seconds, monotonic.

    :ivar ready: the jobs that wait for a worker. The fast lane appends to it, which is `enqueue` without a call.
    :ivar running: how many workers are not parked.
    :ivar began: set while there is, or may be, a job.
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
        self.ready: deque[Job] = deque()
        self._asleep: set[Worker] = set()
        self.running = self.least = min(running, size)
        self._surplus = 0
        self._counting = threading.Lock()  # guards _running, _surplus and _alive
        self._gate = threading.Semaphore(self.running)
        self.began = threading.Event()
        self.quitting = False
        self._alive = 0
        self._gone: Deferred[None] | None = None

    # Any thread.

    def submit(self, job: Job) -> None:
        """Have a worker run the job."""
        self.ready.append(job)
        self.nudge()

    def enqueue(self, job: Job) -> None:
        """The same, from a thread that looks at the queue next, or nudges: the `Source` uses it, and a job that goes on later."""
        self.ready.append(job)

    def nudge(self) -> None:
        """If there are jobs and all are asleep, wake a worker."""
        if self._asleep and self.ready:
            self._source.wake()

    @property
    def backlog(self) -> int:
        """How many jobs wait for a worker."""
        return len(self.ready)

    @property
    def busy(self) -> int:
        """How many workers are in a job."""
        return sum(worker.job is not None for worker in self.workers)

    @property
    def requests(self) -> int:
        """How many requests have been begun."""
        return sum(worker.requests for worker in self.workers)

    # The reactor thread.

    def start(self) -> None:
        self._alive = self.size + 1
        for worker in self.workers:
            threading.Thread(target=self._live, args=(self._work, worker), name=worker.name, daemon=True).start()
        monitor = Monitor(self, self._source, self._clock)
        threading.Thread(target=self._live, args=(monitor.watch,), name="crew-monitor", daemon=True).start()

    def quit(self) -> Deferred[None]:
        """End the threads, each after the job it is in. Fires when the last one has ended."""
        gone: Deferred[None] = Deferred()
        with self._counting:
            self._gone, alive = gone, self._alive
        self.quitting = True
        for _ in self.workers:
            self._gate.release()
        self.began.set()
        self._source.wake()
        if not alive:
            gone.callback(None)
        return gone

    # The threads.

    def _live(self, body: Callable[..., None], *args: Worker) -> None:
        try:
            body(*args)
        except BaseException:
            log.failure("a thread of the crew ended: this is a bug in hendrix")
        with self._counting:
            self._alive -= 1
            gone = None if self._alive else self._gone
        if gone is not None:
            self._call_in_reactor(gone.callback, None)
        else:
            self._source.wake()

    def _work(self, worker: Worker) -> None:
        ready, clock, began = self.ready, self._clock, self.began
        worker.ident = threading.get_ident()
        self._gate.acquire()
        looked = clock()
        while not self.quitting:
            try:
                job = ready.popleft()
            except IndexError:
                job = None
            if job is None:  # not in the handler: what the application raises must not seem to come of it
                worker.dispatch()
                if self._surplus:
                    self._source.poll(0, self._share)  # what waits in the kernel is work, too
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
            if worker.held and (now - worker.since > HOLD or self.running > self.least):
                # At once when jobs take their time, as they do when others had to be let in: the next one may, too.
                worker.dispatch()
            if now - looked > LOOK and not self.quitting:
                self._source.poll(0, self._share)
                looked = now
        worker.dispatch()

    def _sleep(self, worker: Worker) -> None:
        self._asleep.add(worker)
        try:
            self._source.poll(0 if self.ready or self.quitting else -1, self._share)
        finally:
            self._asleep.discard(worker)

    @property
    def _share(self) -> int:
        """What a worker may take of the input: all it can serve back to back if it runs alone, one piece if others can take the next."""
        return BATCH if self.running == self.least else 1

    def _leave(self) -> bool:
        with self._counting:
            # What it sent last may have brought a job, and the others may be asleep.
            if not self._surplus or self.running <= self.least or self.ready:
                return False
            self._surplus -= 1
            self.running -= 1
            return True

    # The monitor.

    def let_in(self) -> None:
        """One more worker runs."""
        with self._counting:
            if self.running >= self.size:
                return
            self.running += 1
            self._surplus = 0
        self._gate.release()

    def let_go(self, count: int) -> None:
        """So many workers may leave, when they have nothing to do."""
        with self._counting:
            self._surplus = min(count, self.running - self.least)

    @property
    def at_work(self) -> bool:
        """Whether there is anything that the monitor must watch."""
        return bool(self.ready) or self.quitting or any(worker.job is not None for worker in self.workers)
