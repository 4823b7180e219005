"""Runs the real code of two or three threads in every order that matters, one schedule after another.

The code under test is not copied: it runs in real threads, of which one moves at a time. What threads share (attributes, deques, locks,
a kernel) is replaced by doubles that call `step` before each access, and there, and only there, the explorer may let another
thread go on. Left alone, a thread goes on until it waits or ends, and then the next in order does; `explore` repeats a scenario until
it has seen every schedule that deviates from this so many times (delay bounding: nearly all known races need two deviations or fewer).

    def scenario(world: World) -> None:
        box = ...                                   # made of doubles
        world.spawn("reader", box.read)
        world.spawn("writer", box.write)
        world.run()                                 # returns when nobody can go on
        assert box.done and not world.blocked

    explore(scenario)

A scenario is repeated many times, so it must make all its state anew, and depend on nothing but the schedule.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from twisted.logger import ILogObserver, globalLogPublisher

Choice = tuple[int, int]
"""Of so many threads that could go on, the one that did: 0 is the running one, or the next in order."""


class Killed(BaseException):
    """Ends a thread whose world is over."""


class Broken(AssertionError):
    """A schedule that breaks the rule; says which."""


class Player:
    """A thread of a `World`. The real thread below it serves one world after another."""

    def __init__(self, world: World, name: str, body: Callable[[], object]) -> None:
        self.name = name
        self.waits_for: Callable[[], bool] | None = None
        self.ended = self.pauses = False
        self.turn = threading.Lock()
        self.turn.acquire()
        self.world, self._body = world, body
        _carriers.pop().carry(self) if _carriers else Carrier().carry(self)

    def can_go_on(self) -> bool:
        return not self.ended and (self.waits_for is None or self.waits_for())

    def live(self) -> None:
        self.turn.acquire()
        try:
            if not self.world.over:
                self._body()
        except Killed:
            pass
        except BaseException as error:
            self.world.errors.append(error)
        self.ended = True


class Carrier:
    """A real thread; starting one takes longer than most schedules."""

    def __init__(self) -> None:
        self._player: Player
        self._go = threading.Lock()
        self._go.acquire()
        threading.Thread(target=self._live, name="carrier", daemon=True).start()

    def carry(self, player: Player) -> None:
        self._player = player
        self._go.release()

    def _live(self) -> None:
        while True:
            self._go.acquire()
            player = _mine.player = self._player
            player.live()
            _carriers.append(self)
            player.world.switch(player)


_carriers: list[Carrier] = []
_mine = threading.local()
_world: World | None = None


class World:
    """The threads of one run of a scenario, and the schedule that they follow."""

    def __init__(self, prefix: list[int]) -> None:
        self.players: list[Player] = []
        self.errors: list[BaseException] = []
        self.over = False
        self.trace: list[Choice] = []
        self._prefix = prefix
        self._idle = threading.Lock()
        self._idle.acquire()

    def spawn(self, name: str, body: Callable[[], object]) -> None:
        """One more thread. It moves when `run` is called."""
        self.players.append(Player(self, name, body))

    def run(self) -> None:
        """Let the threads go on until none can. Raises what one of them raised."""
        first = self._choose(None)
        if first is not None:
            first.turn.release()
            self._idle.acquire()
        if self.errors:
            raise self.errors[0]

    @property
    def blocked(self) -> list[str]:
        """The threads that have not ended."""
        return [player.name for player in self.players if not player.ended]

    def switch(self, player: Player) -> None:
        """Decide who goes on; return when ``player`` does (or at once, if it has ended)."""
        chosen = self._choose(player)
        if chosen is not player:
            (self._idle if chosen is None else chosen.turn).release()
            if not player.ended:
                player.turn.acquire()
        if self.over and not player.ended:
            raise Killed

    def _choose(self, player: Player | None) -> Player | None:
        if self.over:
            return None
        start = self.players.index(player) if player else 0
        start += player is not None and player.pauses
        able = [other for other in self.players[start:] + self.players[:start] if other.can_go_on()]
        if len(able) < 2:
            return able[0] if able else None
        index = self._prefix[len(self.trace)] if len(self.trace) < len(self._prefix) else 0
        self.trace.append((len(able), index))
        return able[index]

    def end(self) -> None:
        """Kill what is left."""
        self.over = True
        for player in self.players:
            while not player.ended:
                player.turn.release()
                self._idle.acquire()


def step() -> None:
    """Here another thread may go on. Doubles call it before each access to what is shared; elsewhere it does nothing."""
    player = getattr(_mine, "player", None)
    if player is not None and _world is not None:
        _world.switch(player)


def pause() -> None:
    """A `step` after which the others go on, unless the schedule deviates: for a thread that sleeps for a while."""
    player: Player = _mine.player
    player.pauses = True
    try:
        step()
    finally:
        player.pauses = False


def wait(ready: Callable[[], bool]) -> None:
    """Wait until ``ready()`` is true; nobody else moves between that and the return."""
    player: Player = _mine.player
    assert _world is not None
    player.waits_for = ready
    try:
        _world.switch(player)
    finally:
        player.waits_for = None


def explore(scenario: Callable[[World], None], *, deviations: int = 2, at_most: int = 5_000) -> int:
    """Run a scenario under every schedule with at most so many deviations; returns how many that were.

    :raises Broken: what the scenario, or one of its threads, raised or logged as a failure, with the schedule.
    """
    global _world
    pending: list[list[int]] = [[]]
    count = 0
    while pending:
        prefix = pending.pop()
        count += 1
        assert count <= at_most, "too many schedules: make the scenario smaller"
        world = _world = World(prefix)
        failures: list[Any] = []
        observer: ILogObserver = failures.append  # type: ignore[assignment]
        globalLogPublisher.addObserver(observer)
        try:
            scenario(world)
            logged = [event["log_failure"].value for event in failures if "log_failure" in event]
            assert not logged, f"logged: {logged[0]!r}"
        except Exception as error:
            raise Broken(f"schedule {count}, {[index for _, index in world.trace]}: {error!r}; not ended: {world.blocked}") from error
        finally:
            world.end()
            _world = None
            globalLogPublisher.removeObserver(observer)
        pending += _alternatives(world.trace, len(prefix), deviations)
    return count


def _alternatives(trace: list[Choice], fixed: int, deviations: int) -> Iterator[list[int]]:
    indices = [index for _, index in trace]
    if sum(map(bool, indices)) < deviations:
        for position in range(fixed, len(trace)):
            for other in range(1, trace[position][0]):
                yield [*indices[:position], other]


# Doubles of what threads share. Each access is a step.


class Shared:
    """An attribute of a class that is shared by threads: in a subclass made for the test, ``name = Shared()``."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._key = f"shared {name}"

    def __get__(self, instance: Any, owner: type) -> Any:
        step()
        return instance.__dict__[self._key]

    def __set__(self, instance: Any, value: Any) -> None:
        step()
        instance.__dict__[self._key] = value


class Deque(deque[Any]):
    def append(self, item: Any) -> None:
        step()
        super().append(item)

    def popleft(self) -> Any:
        step()
        return super().popleft()

    def __len__(self) -> int:
        step()
        return super().__len__()

    def __bool__(self) -> bool:
        return len(self) > 0


class Set(set[Any]):
    def add(self, item: Any) -> None:
        step()
        super().add(item)

    def discard(self, item: Any) -> None:
        step()
        super().discard(item)

    def __contains__(self, item: object) -> bool:
        step()
        return super().__contains__(item)

    def __len__(self) -> int:
        step()
        return super().__len__()

    def __bool__(self) -> bool:
        return len(self) > 0


class Dict(dict[Any, Any]):
    def get(self, key: Any, default: Any = None) -> Any:
        step()
        return super().get(key, default)

    def pop(self, key: Any, default: Any = None) -> Any:
        step()
        return super().pop(key, default)

    def __setitem__(self, key: Any, value: Any) -> None:
        step()
        super().__setitem__(key, value)


class Lock:
    def __init__(self) -> None:
        self._locked = False

    def acquire(self, blocking: bool = True) -> bool:
        step()
        if self._locked:
            if not blocking:
                return False
            wait(lambda: not self._locked)
        self._locked = True
        return True

    def release(self) -> None:
        step()
        assert self._locked
        self._locked = False

    def locked(self) -> bool:
        step()
        return self._locked

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *exc_info: object) -> None:
        self._locked = False


class Semaphore:
    def __init__(self, value: int) -> None:
        self.value = value

    def acquire(self) -> bool:
        step()
        wait(lambda: self.value > 0)
        self.value -= 1
        return True

    def release(self) -> None:
        step()
        self.value += 1


class Event:
    def __init__(self) -> None:
        self._set = False

    def is_set(self) -> bool:
        step()
        return self._set

    def set(self) -> None:
        step()
        self._set = True

    def clear(self) -> None:
        step()
        self._set = False

    def wait(self) -> bool:
        step()
        wait(lambda: self._set)
        return True
