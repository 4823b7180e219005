"""The node "workers" with processes that a test moves by hand."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from hendrix.errors import ChildError, GivenUp, PeerError
from hendrix.workers.parent import DEATHS, PATIENCE, Workers
from hendrix.workers.process import BEAT, TO_START, Process


class Hand(Process):
    """A process without a process."""

    def __init__(self, name: str, pid: int, clock: Clock, timeout: float = 10) -> None:
        self.name, self.pid = name, pid
        self._reactor, self._timeout = clock, timeout
        self.ready, self.deaf, self.ended = Deferred(), Deferred(), Deferred()
        self.told_to_go = self.serving = False
        self.report, self._silence = {}, 0.0
        self.told: list[str] = []
        self.on_wish = lambda reason: None

    def _go(self, how: str) -> None:
        self.told_to_go = True
        self.told.append(how)

    def _signal(self, number: int) -> None:
        self.told.append(str(number))

    def comes_up(self) -> None:
        self._heard({"ready": "site:app"})

    def cannot_start(self) -> None:
        self.ready.errback(ChildError("Traceback\nhendrix: error: no"))
        self.dies("ended with exit code 1")

    def dies(self, how: str = "was killed by SIGKILL") -> None:
        self.serving = False
        self._is_deaf()
        self.ended.callback(how)


class Reactor(Clock):
    running = True


class Sockets:
    listeners: tuple[Any, ...] = ()
    closed = renewed = 0

    async def close(self) -> None:
        self.closed += 1

    def renew_certificates(self) -> None:
        self.renewed += 1


class House:
    """The node, and all processes that it has started."""

    def __init__(self, count: int = 2) -> None:
        self.clock, self.sockets, self.started = Reactor(), Sockets(), list[Hand]()
        self.workers = Workers(self.clock, count, self.sockets, self.spawn, to_drain=30)  # type: ignore[arg-type]
        self.failures: list[BaseException] = []
        self.workers.on_failure = self.failures.append

    def spawn(self, name: str) -> Hand:
        self.started.append(Hand(name, len(self.started) + 1, self.clock))
        return self.started[-1]

    def up(self) -> House:
        self.workers.startService()
        for process in self.started:
            process.comes_up()
        return self

    @property
    def serving(self) -> list[int]:
        return [slot.current.pid for slot in self.workers.slots if slot.current]


def outcome(deferred: Deferred[Any]) -> Any:
    results: list[Any] = []

    def note(result: Any) -> Any:
        results.append(result)
        return None if isinstance(result, Failure) else result

    deferred.addBoth(note)
    return results[0] if results else "pending"


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Given back."""
    numbers = (signal.SIGHUP, signal.SIGUSR1, signal.SIGTTIN, signal.SIGTTOU)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before):
        signal.signal(number, handler)


def test_all_start_at_once_and_the_start_is_over_when_all_serve() -> None:
    house = House(3)
    starting = house.workers.startService()
    assert starting is not None
    assert [process.name for process in house.started] == ["worker 1", "worker 2", "worker 3"]
    house.started[0].comes_up()
    house.started[1].comes_up()
    assert not starting.called
    house.started[2].comes_up()
    assert outcome(starting) is None


def test_a_reload_tries_one_before_the_others_and_each_old_one_drains_when_its_heir_serves() -> None:
    house = House(3).up()
    reloading = house.workers.reload()
    assert [process.pid for process in house.started[3:]] == [4]
    assert house.sockets.renewed == 1
    house.started[3].comes_up()
    assert house.started[0].told == ["drain"]
    assert house.started[1].told == []
    assert [process.pid for process in house.started[4:]] == [5, 6]
    house.started[5].comes_up()
    assert outcome(reloading) == "pending"
    house.started[4].comes_up()
    assert outcome(reloading) == 3
    assert house.serving == [4, 5, 6]


def test_a_reload_that_fails_changes_nothing() -> None:
    house = House(2).up()
    reloading = house.workers.reload()
    house.started[2].cannot_start()
    assert outcome(reloading).check(PeerError).__name__ == "PeerError"
    assert house.serving == [1, 2]
    assert len(house.started) == 3
    house.workers.reload()
    house.started[3].comes_up()
    assert house.serving == [4, 2]


def test_reloads_during_a_reload_are_one_after_it() -> None:
    house = House(1).up()
    first, second, third = (house.workers.reload() for _ in range(3))
    assert len(house.started) == 2
    house.started[1].comes_up()
    assert outcome(first) == 1
    assert len(house.started) == 3
    house.started[2].comes_up()
    assert (outcome(second), outcome(third)) == (1, 1)
    assert len(house.started) == 3


def test_a_worker_that_dies_during_a_reload_is_replaced_by_the_one_that_comes() -> None:
    house = House(1).up()
    house.workers.reload()
    house.started[0].dies()
    house.started[1].comes_up()
    house.clock.advance(10)
    assert (house.serving, len(house.started)) == ([2], 2)


def test_one_that_does_not_end_when_it_should_is_killed() -> None:
    house = House(1).up()
    house.workers.reload()
    house.started[1].comes_up()
    house.clock.advance(30 + PATIENCE)
    assert house.started[0].told == ["drain", "6"]
    house.clock.advance(10)
    assert house.started[0].told == ["drain", "6", "9"]


def test_too_many_deaths_go_up() -> None:
    house = House(1).up()
    for _ in range(DEATHS + 1):
        assert not house.failures
        process = house.started[-1]
        process.dies()
        house.clock.pump([0.1] * 20)
        house.started[-1].comes_up() if not house.started[-1].ready.called else None
    assert isinstance(house.failures[0], GivenUp)


def test_how_long_a_worker_takes_to_start_makes_no_crash_loop_harmless() -> None:
    house = House(1).up()
    for _ in range(DEATHS):
        house.started[-1].dies()
        house.clock.pump([1] * 60)  # a pause, then a long import
        house.started[-1].comes_up()
        house.clock.advance(1)
    assert not house.failures
    house.started[-1].dies()
    assert isinstance(house.failures[0], GivenUp)


def test_deaths_after_a_long_life_are_forgiven() -> None:
    house = House(1).up()
    for _ in range(5 * DEATHS):
        house.clock.advance(5)
        house.started[-1]._heard({"beat": {}})
        house.started[-1].dies()
        house.clock.pump([0.1] * 60)
        house.started[-1].comes_up()
    assert not house.failures


def test_one_that_cannot_start_is_tried_for_ever_while_another_serves() -> None:
    house = House(2).up()
    house.started[0].dies()
    for _ in range(50):
        house.started[-1].cannot_start()
        house.clock.pump([1] * 6)
    assert not house.failures
    assert house.serving == [2]


def test_another_number_of_workers() -> None:
    house = House(2).up()
    changing = house.workers.set_count(3)
    house.started[2].comes_up()
    assert outcome(changing) == 3
    assert outcome(house.workers.set_count(1)) == 1
    assert [process.told for process in house.started] == [[], ["drain"], ["drain"]]
    house.started[1].dies("ended by itself")
    house.clock.advance(10)
    assert house.serving == [1]
    for impossible in (0, -1, 513):
        assert outcome(house.workers.set_count(impossible)).check(PeerError)


@pytest.mark.parametrize("silent", [1, 2])
def test_a_worker_that_gives_no_sign_of_life_is_shown_and_killed(silent: int) -> None:
    house = House(2).up()
    for _ in range(30):
        house.started[2 - silent]._heard({"beat": {}})
        house.clock.advance(BEAT)
    assert house.started[silent - 1].told == ["6", "9"]
    assert house.started[2 - silent].told == []


def test_one_that_starts_has_more_time() -> None:
    house = House(1)
    house.workers.startService()
    house.clock.pump([BEAT] * int(TO_START))
    assert house.started[0].told == []
    house.clock.pump([BEAT] * 2)
    assert house.started[0].told == ["6"]


def test_time_in_which_the_parent_stood_still_itself_is_not_held_against_them() -> None:
    house = House(1).up()
    house.clock.advance(1000)
    house.started[0]._heard({"beat": {}})
    house.clock.advance(BEAT)
    assert house.started[0].told == []


def test_one_that_wishes_it_is_replaced() -> None:
    house = House(2).up()
    house.started[1]._heard({"wish": "it is old"})
    assert house.started[2].name == "worker 2"
    house.started[1]._heard({"wish": "it is old"})
    house.started[2].comes_up()
    assert house.serving == [1, 3]
    assert len(house.started) == 3


def test_new_code_in_development_has_the_old_worker_leave_who_waits_to_the_new_one() -> None:
    house = House(1).up()
    house.workers.restart()
    assert house.started[0].told == ["give way"]
    assert house.started[1].told == []


def test_the_sockets_are_closed_when_all_are_deaf_and_the_stop_is_over_when_all_have_ended() -> None:
    house = House(2).up()
    stopping = house.workers.stopService()
    assert [process.told for process in house.started] == [["stop"], ["stop"]]
    house.started[0]._heard({"deaf": True})
    assert not house.sockets.closed
    house.started[1].dies("ended by itself")
    assert house.sockets.closed == 1
    assert not stopping.called
    house.started[0].dies("ended by itself")
    assert stopping.called
    assert len(house.started) == 2
    assert not house.clock.getDelayedCalls()


def test_something_around_each_reload() -> None:
    house, calls = House(1).up(), list[str]()

    def around(reload: Any) -> Any:
        def reloading() -> Any:
            calls.append("begins")
            return succeed(None).addCallback(lambda _: Deferred.fromCoroutine(reload())).addBoth(lambda _: calls.append("ends"))

        return reloading

    house.workers.around_reload = around
    house.workers.reload()
    assert calls == ["begins"]
    house.started[1].comes_up()
    assert calls == ["begins", "ends"]
