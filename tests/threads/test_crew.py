"""The crew with real threads: jobs from any thread run once, one stuck job holds up nobody, and it ends when told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue

import pytest
from twisted.logger import ILogObserver, globalLogPublisher

import hendrix.threads.crew
from hendrix.threads.bell import Bell
from hendrix.threads.crew import LOOK, Crew
from hendrix.threads.worker import Worker

PATIENCE = 30.0


class Job:
    """Calls a function on the worker's thread."""

    def __init__(self, function: Callable[[], object]) -> None:
        self._function = function
        self.done = threading.Event()

    def run(self, worker: Worker) -> None:
        try:
            self._function()
        finally:
            self.done.set()


class Ship:
    """A crew, and the calls that it has the reactor make, made by the test's thread."""

    def __init__(self, size: int, source: Bell | None = None) -> None:
        self.calls: SimpleQueue[tuple[Callable[..., object], tuple[object, ...]]] = SimpleQueue()
        self.crew = Crew(size, source or Bell(), lambda function, *args: self.calls.put((function, args)))
        self.crew.start()

    def quit(self) -> None:
        """Quit, and return when the crew says that it has."""
        fired: list[object] = []
        self.crew.quit().addCallback(fired.append)
        while not fired:
            function, args = self.calls.get(timeout=PATIENCE)
            function(*args)
        assert fired == [None]

    def threads(self) -> list[threading.Thread]:
        names = {worker.name for worker in self.crew.workers} | {"crew-monitor"}
        return [thread for thread in threading.enumerate() if thread.name in names]


def eventually(condition: Callable[[], bool]) -> None:
    """Look until it is so, for `PATIENCE` seconds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture
def ship() -> Iterator[Ship]:
    ship = Ship(3)
    yield ship
    ship.quit()
    eventually(lambda: not ship.threads())


@pytest.fixture
def failures() -> Iterator[list[object]]:
    """What is logged as a failure."""
    found: list[object] = []
    observer: ILogObserver = lambda event: found.append(event["log_failure"].value) if "log_failure" in event else None  # type: ignore[assignment] # noqa: E731
    globalLogPublisher.addObserver(observer)
    yield found
    globalLogPublisher.removeObserver(observer)


def test_a_job_runs_on_a_thread_of_the_crew(ship: Ship) -> None:
    names: list[str] = []
    job = Job(lambda: names.append(threading.current_thread().name))
    ship.crew.submit(job)
    assert job.done.wait(PATIENCE)
    assert names[0].startswith("crew-")
    eventually(lambda: (ship.crew.busy, ship.crew.backlog) == (0, 0))


def test_jobs_from_many_threads_run_once_each(ship: Ship) -> None:
    ran: list[int] = []
    count = 2000

    def submit(first: int) -> None:
        for number in range(first, first + count):
            ship.crew.submit(Job(lambda number=number: ran.append(number)))  # type: ignore[misc]

    threads = [threading.Thread(target=submit, args=(count * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    eventually(lambda: len(ran) >= 4 * count)
    assert sorted(ran) == list(range(4 * count))


def test_now_and_then_a_job_comes_to_a_crew_that_is_asleep(ship: Ship) -> None:
    """Each job comes when the worker has fallen asleep, or is about to."""
    for _ in range(500):
        job = Job(lambda: None)
        ship.crew.submit(job)
        assert job.done.wait(PATIENCE)


def test_a_stuck_job_holds_up_nobody(ship: Ship) -> None:
    go_on = threading.Event()
    stuck = [Job(lambda: go_on.wait(PATIENCE)) for _ in range(2)]
    for job in stuck:
        ship.crew.submit(job)
    quick = Job(lambda: None)
    ship.crew.submit(quick)
    assert quick.done.wait(PATIENCE)
    assert not any(job.done.is_set() for job in stuck)
    go_on.set()
    for job in stuck:
        assert job.done.wait(PATIENCE)


def test_when_all_are_stuck_the_next_job_waits_for_the_first_that_is_not(ship: Ship) -> None:
    gates = [threading.Event() for _ in range(3)]
    for gate in gates:
        ship.crew.submit(Job(lambda gate=gate: gate.wait(PATIENCE)))  # type: ignore[misc]
    late = Job(lambda: None)
    ship.crew.submit(late)
    eventually(lambda: ship.crew.busy == 3)
    assert (ship.crew.running, ship.crew.backlog) == (3, 1)
    gates[1].set()
    assert late.done.wait(PATIENCE)
    gates[0].set()
    gates[2].set()


def test_workers_that_were_let_in_leave_when_it_is_quiet(ship: Ship) -> None:
    go_on = threading.Event()
    jobs = [Job(lambda: go_on.wait(PATIENCE)) for _ in range(3)]
    for job in jobs:
        ship.crew.submit(job)
    eventually(lambda: ship.crew.running == 3)
    go_on.set()
    deadline = time.monotonic() + PATIENCE
    while ship.crew.running > 1:  # they leave when they look for work
        assert time.monotonic() < deadline
        job = Job(lambda: None)
        ship.crew.submit(job)
        assert job.done.wait(PATIENCE)
    again = [Job(lambda: None) for _ in range(3)]
    for job in again:
        ship.crew.submit(job)
    for job in again:
        assert job.done.wait(PATIENCE)


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_job_that_raises_is_logged_and_its_worker_lives_on(ship: Ship, failures: list[object], error: type[BaseException]) -> None:
    def fail() -> None:
        raise error

    before = len(ship.threads())
    for _ in range(4):
        job = Job(fail)
        ship.crew.submit(job)
        assert job.done.wait(PATIENCE)
    after = Job(lambda: None)
    ship.crew.submit(after)
    assert after.done.wait(PATIENCE)
    assert [type(failure) for failure in failures] == [error] * 4
    assert len(ship.threads()) == before == 4


def test_it_quits_when_the_job_in_hand_is_done() -> None:
    ship = Ship(2)
    go_on, entered = threading.Event(), threading.Event()
    job = Job(lambda: entered.set() or go_on.wait(PATIENCE))  # type: ignore[func-returns-value]
    ship.crew.submit(job)
    assert entered.wait(PATIENCE)
    fired: list[object] = []
    ship.crew.quit().addCallback(fired.append)
    eventually(lambda: len(ship.threads()) == 1)
    assert ship.calls.empty() and not fired
    go_on.set()
    function, args = ship.calls.get(timeout=PATIENCE)
    function(*args)
    assert job.done.is_set() and fired == [None]
    eventually(lambda: not ship.threads())


def test_it_quits_before_it_was_ever_started() -> None:
    fired: list[object] = []
    Crew(2, Bell(), lambda *args: None).quit().addCallback(fired.append)
    assert fired == [None]


def test_it_quits_at_any_moment() -> None:
    """Told to quit just as it starts, while it works, as it falls asleep."""
    for round_ in range(40):
        ship = Ship(4)
        for _ in range(round_ % 5):
            ship.crew.submit(Job(lambda: None))
        ship.quit()
        eventually(lambda ship=ship: not ship.threads())  # type: ignore[misc]


class Diary:
    """A `Parcel`; notes on which thread it was sent."""

    def __init__(self) -> None:
        self.by = ""
        self.out = threading.Event()

    def send(self) -> None:
        self.by = threading.current_thread().name

    def sent(self) -> None:
        self.out.set()


class Holding:
    """A job that leaves something to be sent, and may then take its time."""

    def __init__(self, parcel: Diary, then: Callable[[], object] = lambda: None) -> None:
        self._parcel, self._then = parcel, then

    def run(self, worker: Worker) -> None:
        worker.hold(self._parcel)
        self._then()


def test_what_is_held_is_sent_when_there_is_nothing_else(ship: Ship) -> None:
    parcel = Diary()
    ship.crew.submit(Holding(parcel))
    assert parcel.out.wait(PATIENCE)


def test_what_a_stuck_worker_holds_is_sent_by_the_monitor(ship: Ship) -> None:
    parcel, go_on = Diary(), threading.Event()
    ship.crew.submit(Holding(parcel, lambda: go_on.wait(PATIENCE)))
    assert parcel.out.wait(PATIENCE)
    assert parcel.by == "crew-monitor"
    go_on.set()


def test_what_is_held_does_not_wait_for_the_end_of_a_long_queue(ship: Ship, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hendrix.threads.crew, "HOLD", 0.0)
    parcel, seen = Diary(), list[bool]()
    ship.crew.enqueue(Holding(parcel))
    ship.crew.enqueue(Job(lambda: time.sleep(0.001)))
    last = Job(lambda: seen.append(parcel.out.is_set()))
    ship.crew.submit(last)
    assert last.done.wait(PATIENCE)
    assert seen == [True]


class Polled(Bell):
    """Notes the polls of a busy worker."""

    def __init__(self) -> None:
        super().__init__()
        self.looked = threading.Event()

    def poll(self, seconds: float, most: int) -> None:
        if seconds == 0:
            self.looked.set()
        super().poll(seconds, most)


def test_a_worker_with_a_long_queue_looks_for_input_now_and_then() -> None:
    """A client that always has the next request ready must not keep others from being read."""
    source = Polled()
    ship = Ship(1, source)

    class Endless:
        """Stands in line again when it is done."""

        def run(self, worker: Worker) -> None:
            time.sleep(LOOK / 10)
            if not source.looked.is_set():
                ship.crew.enqueue(self)

    ship.crew.submit(Endless())
    assert source.looked.wait(PATIENCE)
    ship.quit()
