"""The crew's own classes with doubles in the place of what its threads share; see interleavings.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from interleavings import Deque, Event, Killed, Lock, Semaphore, Set, Shared, World, pause, step, wait

from hendrix.threads.crew import Crew
from hendrix.threads.monitor import Monitor
from hendrix.threads.worker import Parcel, Worker


class Inlet:
    """A `Source` as epoll is one: any number may wait, and each input, and each ring of the bell, reaches one of them."""

    crew: Crew

    def __init__(self) -> None:
        self.inputs: list[Job] = []
        self.rung = False

    def poll(self, seconds: float, most: int) -> None:
        if seconds > 0:
            pause()
        step()
        if seconds < 0:
            wait(lambda: bool(self.inputs or self.rung))
        self.rung = False
        taken, self.inputs = self.inputs[:most], self.inputs[most:]
        for job in taken:
            self.crew.enqueue(job)

    def wake(self) -> None:
        step()
        self.rung = True

    def come(self, job: Job) -> None:
        """Input from outside."""
        step()
        self.inputs.append(job)


class ModelWorker(Worker):
    job = Shared()


class ModelCrew(Crew):
    """:param size: workers; the first ``running`` of them are let in.

    :ivar calls: what it had the reactor call.
    """

    quitting = Shared()
    _surplus = Shared()

    def __init__(self, size: int, source: Any, running: int = 1, least: int = 1) -> None:
        self.calls: list[tuple[Callable[..., object], tuple[Any, ...]]] = []
        super().__init__(size, source, lambda function, *args: self.calls.append((function, args)), running=running, clock=lambda: 0.0)
        source.crew = self
        self.least = least
        self.workers = [ModelWorker(f"worker {number}", lambda: 0.0) for number in range(1, size + 1)]
        for worker in self.workers:
            worker.held = Deque()
            worker.sending = Lock()  # type: ignore[assignment]
        self.ready = Deque()
        self._asleep = Set()
        self._counting = Lock()  # type: ignore[assignment]
        self._gate = Semaphore(running)  # type: ignore[assignment]
        self.began = Event()  # type: ignore[assignment]

    def people(self, world: World, *more: Callable[[], object]) -> None:
        """Spawn its workers, and other threads that live in it."""
        self._alive = len(self.workers) + len(more)
        for worker in self.workers:
            world.spawn(worker.name, lambda worker=worker: self._live(self._work, worker))  # type: ignore[misc]
        for body in more:
            world.spawn(getattr(body, "__name__", "monitor"), lambda body=body: self._live(body))  # type: ignore[misc]

    def ends(self, world: World) -> None:
        """Quit, and see that every thread ends and the reactor is told once."""
        fired: list[object] = []
        world.spawn("quit", lambda: self.quit().addCallback(fired.append))
        world.run()
        assert not world.blocked, "left behind"
        for function, args in self.calls:
            function(*args)
        assert fired == [None], "announced"


class BusyMonitor(Monitor):
    """A monitor that looks so many times, and then has nothing more to say."""

    looks = 2

    def look(self, elapsed: float) -> None:
        super().look(elapsed)
        self.looks -= 1
        if not self.looks:
            raise Killed


class Job:
    """Takes so many steps, and leaves something to be sent."""

    def __init__(self, steps: int = 1, then: Callable[[], object] | None = None, last: Parcel | None = None) -> None:
        self._steps, self._then, self._last = steps, then, last
        self.runs = 0

    def run(self, worker: Worker) -> None:
        for _ in range(self._steps):
            step()
        self.runs += 1
        if self._last is not None:
            worker.hold(self._last)
            step()
        if self._then is not None:
            self._then()
