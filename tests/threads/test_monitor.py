"""What the monitor does at each look, with a crew of paper and a clock moved by hand."""

from __future__ import annotations

import threading

import pytest

from hendrix.threads.monitor import QUIET, STUCK, WINDOW, Monitor
from hendrix.threads.worker import Worker


class Job:
    def run(self, worker: Worker, /) -> None:
        """Never called."""


class Parcel:
    def __init__(self, diary: list[str]) -> None:
        self._diary = diary

    def send(self) -> None:
        self._diary.append("send")

    def sent(self) -> None:
        self._diary.append("sent")


class PaperCrew:
    """What the monitor sees of a crew, and a diary of what it did."""

    def __init__(self, size: int = 3, running: int = 1) -> None:
        self.size, self.running = size, running
        self.quitting = self.at_work = False
        self.began = threading.Event()
        self.began.set()
        self.workers = [Worker(f"worker {number}", lambda: 0.0) for number in range(size)]
        self.diary: list[str] = []

    @property
    def busy(self) -> int:
        return sum(worker.job is not None for worker in self.workers)

    def begin(self, *workers: int) -> None:
        for number in workers:
            self.workers[number].job = Job()

    def finish(self, *workers: int) -> None:
        for number in workers:
            self.workers[number].job = None
            self.workers[number].jobs += 1

    def let_in(self) -> None:
        self.diary.append("let in")
        self.running = min(self.size, self.running + 1)

    def nudge(self) -> None:
        self.diary.append("nudge")

    def let_go(self, count: int) -> None:
        self.diary.append(f"let go {count}")


class NoSource:
    def poll(self, seconds: float, most: int) -> None:
        raise AssertionError("it looks; it does not poll")

    def wake(self) -> None:
        raise AssertionError


def make(crew: PaperCrew) -> Monitor:
    return Monitor(crew, NoSource(), lambda: 0.0)


def look(monitor: Monitor, times: int = 1, elapsed: float = STUCK) -> None:
    for _ in range(times):
        monitor.look(elapsed)


def test_a_job_that_lasts_lets_another_worker_in() -> None:
    crew = PaperCrew()
    monitor = make(crew)
    crew.begin(0)
    look(monitor)
    assert crew.diary == ["let in"]


def test_a_worker_that_moves_is_not_stuck() -> None:
    crew = PaperCrew()
    monitor = make(crew)
    for _ in range(3):
        crew.finish(0)
        crew.begin(0)
        look(monitor)
    assert crew.diary == []


def test_a_late_look_does_not_count() -> None:
    """When the monitor itself was late, the machine was busy with others: it looks twice before it believes."""
    crew = PaperCrew()
    monitor = make(crew)
    crew.begin(0)
    look(monitor, elapsed=5 * STUCK)
    assert crew.diary == []
    look(monitor, elapsed=5 * STUCK)
    assert crew.diary == ["let in"]


def test_another_is_let_in_only_when_all_that_run_are_stuck() -> None:
    crew = PaperCrew(running=2)
    monitor = make(crew)
    crew.begin(0)
    look(monitor)
    assert crew.diary == ["nudge"], "the other may be asleep, and there may be work"
    crew.begin(1)
    look(monitor)
    assert crew.diary == ["nudge", "let in"]


def test_one_more_at_each_look_up_to_the_size_of_the_crew() -> None:
    crew = PaperCrew()
    monitor = make(crew)
    for number in range(3):
        crew.begin(number)
        look(monitor)
        assert crew.running == min(3, number + 2)


def test_what_a_stuck_worker_holds_is_sent_for_it() -> None:
    crew = PaperCrew()
    monitor = make(crew)
    crew.begin(0)
    crew.workers[0].hold(Parcel(crew.diary))
    look(monitor)
    assert crew.diary == ["send", "sent", "let in"]


def test_what_a_worker_that_moves_holds_is_its_own_affair() -> None:
    crew = PaperCrew()
    monitor = make(crew)
    crew.finish(0)
    crew.begin(0)
    crew.workers[0].hold(Parcel(crew.diary))
    look(monitor)
    assert crew.diary == []


def test_workers_that_had_nothing_to_do_all_through_the_window_may_go() -> None:
    """Three run, one of them is stuck all the time, so one is needed to do the rest, and one may go."""
    crew = PaperCrew(running=3)
    monitor = make(crew)
    crew.begin(0)
    look(monitor, WINDOW - 1)
    assert "let go 1" not in crew.diary
    look(monitor)
    assert [entry for entry in crew.diary if entry.startswith("let go")] == ["let go 1"]


def test_one_look_in_which_all_had_something_to_do_keeps_them() -> None:
    crew = PaperCrew(running=3)
    monitor = make(crew)
    crew.begin(0)
    look(monitor, WINDOW // 2)
    crew.begin(1, 2)
    look(monitor)
    crew.finish(1, 2)
    look(monitor, WINDOW // 2 - 1)
    assert [entry for entry in crew.diary if entry.startswith("let go")] == []


def test_without_a_stuck_worker_in_the_window_all_that_were_let_in_may_go() -> None:
    crew = PaperCrew(running=3)
    monitor = make(crew)
    for _ in range(WINDOW):
        crew.finish(0, 1, 2)
        crew.begin(0, 1, 2)
        look(monitor)
    assert crew.diary == ["let go 3"]


def test_it_rests_when_nothing_has_moved_for_a_while() -> None:
    crew = PaperCrew()
    monitor = make(crew)
    look(monitor, QUIET)
    assert crew.began.is_set()
    look(monitor)
    assert not crew.began.is_set()
    assert crew.diary[-1] == "let go 3"


def test_it_does_not_rest_while_there_is_work() -> None:
    crew = PaperCrew()
    monitor = make(crew)
    crew.at_work = True
    look(monitor, 3 * QUIET)
    assert crew.began.is_set()


def test_a_job_of_many_looks_is_no_rest() -> None:
    crew = PaperCrew()
    monitor = make(crew)
    crew.begin(0)
    look(monitor, 3 * QUIET)
    assert crew.began.is_set()


# The thread.


class Source:
    def __init__(self, crew: PaperCrew, polls: int) -> None:
        self._crew, self._polls = crew, polls
        self.seen: list[tuple[float, int]] = []

    def poll(self, seconds: float, most: int) -> None:
        self.seen.append((seconds, most))
        if len(self.seen) == self._polls:
            self._crew.quitting = True

    def wake(self) -> None:
        raise AssertionError


def test_it_polls_when_nobody_else_can_and_then_looks_for_sleepers() -> None:
    crew = PaperCrew(size=1)
    source = Source(crew, polls=2)
    crew.begin(0)
    Monitor(crew, source, lambda: 0.0).watch()
    assert source.seen == [(STUCK, 1), (STUCK, 1)]
    assert crew.diary.count("nudge") >= 2


def test_it_sleeps_until_a_job_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    crew = PaperCrew(size=2)
    crew.began.clear()
    thread = threading.Thread(target=make(crew).watch, daemon=True)
    thread.start()
    crew.quitting = True
    crew.began.set()
    thread.join(30)
    assert not thread.is_alive()
