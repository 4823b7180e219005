"""The explorer itself: it finds what every textbook warns of, and is content with what is right."""

from __future__ import annotations

import pytest
from interleavings import Broken, Deque, Event, Lock, Shared, World, explore, wait


class Counter:
    value = Shared()

    def __init__(self) -> None:
        self.value = 0

    def add(self) -> None:
        self.value += 1


def test_it_finds_a_lost_update() -> None:
    def scenario(world: World) -> None:
        counter = Counter()
        world.spawn("one", counter.add)
        world.spawn("two", counter.add)
        world.run()
        assert counter.value == 2

    with pytest.raises(Broken):
        explore(scenario, deviations=1)


def test_it_is_content_with_a_lock() -> None:
    def scenario(world: World) -> None:
        counter, lock = Counter(), Lock()

        def add() -> None:
            with lock:
                counter.add()

        for name in ("one", "two", "three"):
            world.spawn(name, add)
        world.run()
        assert counter.value == 3

    assert explore(scenario, deviations=3) > 100


@pytest.mark.parametrize(("look_first", "deviations"), [(True, 1), (False, 3)])
def test_it_finds_a_lost_wake_up(look_first: bool, deviations: int) -> None:
    """A sleeper that looks and then clears the flag, or clears it and then looks."""

    def scenario(world: World) -> None:
        items, flag = Deque(), Event()

        def sleeper() -> None:
            while True:
                if look_first:
                    empty = not items
                    flag.clear()
                else:
                    flag.clear()
                    empty = not items
                if not empty:
                    return
                flag.wait()

        def waker() -> None:
            items.append(1)
            flag.set()

        world.spawn("sleeper", sleeper)
        world.spawn("waker", waker)
        world.run()
        assert not world.blocked

    if look_first:
        with pytest.raises(Broken, match="sleeper"):
            explore(scenario, deviations=deviations)
    else:
        assert explore(scenario, deviations=deviations) > 10


def test_it_finds_a_deadlock() -> None:
    def scenario(world: World) -> None:
        one, two = Lock(), Lock()

        def take(first: Lock, second: Lock) -> None:
            with first, second:
                pass

        world.spawn("up", lambda: take(one, two))
        world.spawn("down", lambda: take(two, one))
        world.run()
        assert not world.blocked

    with pytest.raises(Broken, match=r"not ended: \['up', 'down'\]"):
        explore(scenario, deviations=1)


def test_a_thread_that_raises_breaks_the_schedule_and_none_is_left() -> None:
    def scenario(world: World) -> None:
        world.spawn("waits", lambda: wait(lambda: False))
        world.spawn("raises", lambda: 1 / 0)
        world.run()

    with pytest.raises(Broken, match="ZeroDivisionError"):
        explore(scenario)
