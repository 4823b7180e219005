"""Work for exactly one process: the queues of a hub, which process has a place, and what is in work there.

At most once: what a process has been given is never given to another, unless that process says that it has not begun it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from hendrix.hey_joe.message import Message

# Messages, and characters of their payloads, that may wait in a queue.
MESSAGES, CHARACTERS = 10_000, 64 << 20

# Seconds within which a message must have begun, where its author says nothing else.
EXPIRES = 3600.0

# Seconds that a queue of events is kept when no process serves it any more: one that has crashed is back by then.
PATIENCE = 60.0

Process = TypeVar("Process")

# Why a message of a queue is lost.
FULL, EXPIRED, DIED, FAILED = "full", "expired", "died", "failed"
# What else may become of it: its consumer has returned; or nobody here has begun it, and another process may.
DONE, RETURNED = "done", "returned"

# Who waits for the result is called with whether it was done, and what the consumer returned as JSON or why it was not.
Asker = Callable[[bool, Any], object]
# Who had the message for us, an engine, is called with what has become of it.
Settled = Callable[[str], object]


class Job(Generic[Process]):
    """One message of a queue.

    :ivar then: the topic for what its handler returns, None for none.
    :ivar expires: when it must have begun, as the clock says it.
    :ivar asker: is called with the result, None where nobody waits for it.
    :ivar settled: is called with what has become of it.
    """

    __slots__ = ("asker", "expires", "message", "number", "queue", "settled", "then")

    def __init__(
        self,
        number: int,
        queue: Queue[Process],
        message: Message,
        expires: float,
        then: str | None,
        asker: Asker | None,
        settled: Settled | None,
    ) -> None:
        self.number, self.queue, self.message = number, queue, message
        self.expires, self.then, self.asker, self.settled = expires, then, asker, settled


class Queue(Generic[Process]):
    """One of them.

    :ivar pattern: of the topics whose messages it gets, None for a queue that is filled by name.
    :ivar empty_since: when the last process left it, as the clock says it.
    """

    def __init__(self, name: str, pattern: str | None, now: float) -> None:
        self.name, self.pattern, self.empty_since = name, pattern, now
        self.waiting: deque[Job[Process]] = deque()
        self.size = 0
        self.places: dict[Process, int] = {}  # the one whose turn it is comes first
        self.working: Counter[Process] = Counter()

    def next_process(self) -> Process | None:
        """Whose turn it is, of those that have a place."""
        for process, places in self.places.items():
            if self.working[process] < places:
                self.places[process] = self.places.pop(process)  # to the end
                return process
        return None


class Queues(Generic[Process]):
    """All of them. One thread.

    :param clock: seconds.
    :param send: called with a process and the job that it is to do.
    :param lose: called with a job that nobody will do, or that has failed, and why; its queue is that of the job.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        send: Callable[[Process, Job[Process]], object],
        lose: Callable[[Job[Process], str], object],
        messages: int = MESSAGES,
        characters: int = CHARACTERS,
    ) -> None:
        self._clock, self._send, self._tell = clock, send, lose
        self._messages, self._characters = messages, characters
        self._queues: dict[str, Queue[Process]] = {}
        self._working: dict[int, tuple[Process, Job[Process]]] = {}
        self._number = 0
        self.lost = 0

    def __len__(self) -> int:
        return len(self._queues)

    @property
    def waiting(self) -> int:
        return sum(len(queue.waiting) for queue in self._queues.values())

    @property
    def working(self) -> int:
        return len(self._working)

    def queue(self, name: str, pattern: str | None = None) -> Queue[Process]:
        """The queue of that name, made if there is none."""
        queue = self._queues.get(name)
        if queue is None:
            queue = self._queues[name] = Queue(name, pattern, self._clock())
        return queue

    def serve(self, name: str, pattern: str | None, process: Process, places: int) -> Queue[Process]:
        """A process takes so many jobs of this queue at a time."""
        queue = self.queue(name, pattern)
        queue.places[process] = places
        self._assign(queue)
        return queue

    def put(
        self,
        queue: Queue[Process],
        message: Message,
        expires: float,
        then: str | None = None,
        asker: Asker | None = None,
        settled: Settled | None = None,
    ) -> None:
        """One more message.

        :param expires: seconds within which a process must have begun it.
        """
        self._number += 1
        job = Job(self._number, queue, message, self._clock() + expires, then, asker, settled)
        if len(queue.waiting) >= self._messages or queue.size + message.size > self._characters:
            self._expire(queue)
        if len(queue.waiting) >= self._messages or queue.size + message.size > self._characters:
            self._lose(job, FULL)
            return
        queue.waiting.append(job)
        queue.size += message.size
        self._assign(queue)

    def done(self, number: int, failed: bool = False) -> Job[Process] | None:
        """A process has done a job; None if it is not known."""
        process, job = self._working.pop(number, (None, None))
        if process is None or job is None:
            return None
        job.queue.working[process] -= 1
        if failed:
            self._lose(job, FAILED)
        self._assign(job.queue)
        return job

    def refuse(self, number: int) -> Queue[Process] | None:
        """A process has not begun a job, and will not. Gives its queue, None if the job is not known."""
        process, job = self._working.pop(number, (None, None))
        if process is None or job is None:
            return None
        job.queue.working[process] -= 1
        job.queue.waiting.appendleft(job)
        job.queue.size += job.message.size
        self._assign(job.queue)
        return job.queue

    def rest(self, process: Process) -> list[Queue[Process]]:
        """A process takes no more jobs; what it does already it may finish. Gives the queues that nobody serves any more."""
        left = []
        for queue in self._queues.values():
            if queue.places.pop(process, None) is not None and not queue.places:
                queue.empty_since = self._clock()
                left.append(queue)
        return left

    def gone(self, process: Process) -> list[Queue[Process]]:
        """A process has ended: what it was doing is lost. Gives the queues that nobody serves any more."""
        left = self.rest(process)
        for number, (worker, job) in list(self._working.items()):
            if worker is process:
                del self._working[number]
                self._lose(job, DIED)
        for queue in self._queues.values():
            queue.working.pop(process, None)
        return left

    def sweep(self) -> list[Queue[Process]]:
        """Lose what has expired. Gives the queues that are no more, for nobody serves them."""
        now = self._clock()
        over = []
        for queue in list(self._queues.values()):
            self._expire(queue)
            if queue.places or any(queue.working.values()):
                continue
            if now - queue.empty_since > PATIENCE and (queue.pattern is not None or not queue.waiting):
                for job in self._emptied(queue):
                    self._lose(job, EXPIRED)
                del self._queues[queue.name]
                over.append(queue)
        return over

    def room(self, name: str) -> int:
        """How many more messages of a queue could be begun now."""
        queue = self._queues.get(name)
        return 0 if queue is None else sum(queue.places.values()) - sum(queue.working.values()) - len(queue.waiting)

    def give_back(self, queue: Queue[Process]) -> list[Job[Process]]:
        """What nobody here has begun, of a queue that nobody serves any more."""
        return self._emptied(queue)

    def abandon(self) -> Counter[str]:
        """How many messages wait in each queue, at the end of the hub."""
        return Counter({queue.name: len(queue.waiting) for queue in self._queues.values() if queue.waiting})

    def _assign(self, queue: Queue[Process]) -> None:
        now = self._clock()
        while queue.waiting:
            if queue.waiting[0].expires < now:
                self._lose(self._pop(queue), EXPIRED)
                continue
            process = queue.next_process()
            if process is None:
                return
            job = self._pop(queue)
            queue.working[process] += 1
            self._working[job.number] = process, job
            self._send(process, job)

    def _lose(self, job: Job[Process], reason: str) -> None:
        self.lost += 1
        self._tell(job, reason)

    def _pop(self, queue: Queue[Process]) -> Job[Process]:
        job = queue.waiting.popleft()
        queue.size -= job.message.size
        return job

    def _emptied(self, queue: Queue[Process]) -> list[Job[Process]]:
        jobs = list(queue.waiting)
        queue.waiting.clear()
        queue.size = 0
        return jobs

    def _expire(self, queue: Queue[Process]) -> None:
        now = self._clock()
        if any(job.expires < now for job in queue.waiting):
            for job in self._emptied(queue):
                if job.expires < now:
                    self._lose(job, EXPIRED)
                else:
                    queue.waiting.append(job)
                    queue.size += job.message.size
