"""The baton of the fast lane under every interleaving that matters: the real `FastLane` and `Acceptor` above a model of the kernel.

The code is the real one, in real threads that a scheduler moves one at a time (tests/threads/interleavings.py); the kernel is a faithful
small model of descriptors and one-shot epoll (kernel.py). Every rule has a test that breaks it, and must see the explorer find the schedule
that goes wrong.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from interleavings import Broken, Shared, World, explore, step
from kernel import READ, WRITE, Kernel, ModelLane, Thing

from hendrix.channel.fast import Acceptor, Holder

LaneClass = type[ModelLane]


def breaks(scenario: Callable[[World], None], match: str, deviations: int = 2) -> None:
    with pytest.raises(Broken, match=match):
        explore(scenario, deviations=deviations)


def arming(lane_class: LaneClass, events: int) -> Callable[[World], None]:
    """A worker arms a connection, and another comes for it at once: a worker, told of input; or the reactor, which closes it.

    The next connection gets its descriptor.
    """

    def scenario(world: World) -> None:
        kernel = Kernel()
        lane = lane_class(kernel)
        first = Thing(lane, kernel)
        first.asked = 0
        kernel.interest[first.file] = (first.fd, 0)
        seconds: list[Thing] = []

        def reactor() -> None:
            if first.claimed(first.close):
                second = Thing(lane, kernel, events)
                seconds.append(second)
                second.arm()

        def client() -> None:
            step()
            first.file.input += 1
            step()
            for second in seconds:
                second.file.input += 1
                second.file.room = True

        world.spawn("worker", first.arm_owned)
        world.spawn("reactor", reactor)
        world.spawn("client", client)
        world.spawn("other", lane.work)
        world.run()
        for thing in (first, *seconds):
            assert not thing.waits_in_vain, "nobody was told"

    return scenario


@pytest.mark.parametrize("events", [READ, WRITE])
def test_who_arms_touches_no_stranger_and_misses_nothing(events: int) -> None:
    assert explore(arming(ModelLane, events)) > 100


class PublishesFirst(ModelLane):
    def arm(self, holder: Holder, fd: int, events: int) -> None:
        self._armed[fd] = holder
        self._poller.modify(fd, events)


class ForgetsTheMissed(ModelLane):
    def _arm_again(self, holder: Holder, fd: int) -> None:
        pass


class TakesTheNoteOfAnother(ModelLane):
    def _arm_again(self, holder: Holder, fd: int) -> None:
        if fd in self._missed:
            self._missed.discard(fd)
            if self.claim(holder, fd):
                holder.arm()


def test_who_arms_tells_the_kernel_first_and_others_second() -> None:
    breaks(arming(PublishesFirst, READ), "touches a stranger")


@pytest.mark.parametrize("broken", [ForgetsTheMissed, TakesTheNoteOfAnother])
def test_who_arms_looks_for_what_it_missed(broken: LaneClass) -> None:
    breaks(arming(broken, READ), "nobody was told")


class LooksThenNotes(ModelLane):
    """`poll`, with the note taken after the last look."""

    def poll(self, seconds: float, most: int) -> None:
        for fd, _ in self._poller.poll(seconds, most):
            holder = self._armed.pop(fd, None)
            if holder is None:
                self._missed.add(fd)
            else:
                holder.ready()


def test_who_finds_nobody_notes_it_first_and_looks_again() -> None:
    breaks(arming(LooksThenNotes, READ), "nobody was told")


def claiming(lane_class: LaneClass) -> Callable[[World], None]:
    """Input comes, two workers and the reactor want the same connection, and the reactor lets it go again."""

    def scenario(world: World) -> None:
        kernel = Kernel()
        lane = lane_class(kernel)
        thing = Thing(lane, kernel)
        thing.asked = READ
        kernel.interest[thing.file] = (thing.fd, READ)
        dict.__setitem__(lane._armed, thing.fd, thing)

        def client() -> None:
            for _ in range(2):
                step()
                thing.file.input += 1

        world.spawn("client", client)
        world.spawn("reactor", lambda: thing.claimed(thing.arm_owned))
        world.spawn("one", lane.work)
        world.spawn("two", lane.work)
        world.run()
        assert not thing.waits_in_vain, "nobody was told"
        assert thing.read == 2

    return scenario


def test_one_at_a_time_has_it() -> None:
    assert explore(claiming(ModelLane)) > 100


class LooksThenTakes(ModelLane):
    def claim(self, holder: Holder, fd: int) -> bool:
        if self._armed.get(fd) is not holder:
            return False
        self._armed.pop(fd, None)
        return True


def test_who_claims_takes_it_in_one_step() -> None:
    breaks(claiming(LooksThenTakes), "two have it")


def swapped(lane_class: LaneClass) -> Callable[[World], None]:
    """Between the reactor's look and its pop the connection goes, and another comes to stand under its number."""

    def scenario(world: World) -> None:
        kernel = Kernel()
        lane = lane_class(kernel)
        first = Thing(lane, kernel)
        first.asked = READ
        kernel.interest[first.file] = (first.fd, READ)
        dict.__setitem__(lane._armed, first.fd, first)
        first.file.input = 1
        seconds: list[Thing] = []

        def read_and_close() -> None:  # a worker
            for fd, _ in kernel.poll(0, 64):
                if lane._armed.pop(fd, None) is first:
                    first.take()
                    first.close()
                    second = Thing(lane, kernel)
                    seconds.append(second)
                    second.arm()
                    step()
                    second.file.input = 1
            lane.work()

        world.spawn("reactor", lambda: first.claimed(first.close))
        world.spawn("worker", read_and_close)
        world.run()
        for second in seconds:
            assert second.read == 1, "nobody was told"

    return scenario


def test_who_is_taken_by_mistake_is_armed_again() -> None:
    assert explore(swapped(ModelLane), deviations=3) > 10


class KeepsWhatItTook(ModelLane):
    def claim(self, holder: Holder, fd: int) -> bool:
        return self._armed.get(fd) is holder and self._armed.pop(fd, None) is holder


def test_who_takes_another_puts_it_back() -> None:
    breaks(swapped(KeepsWhatItTook), "nobody was told")


class Listening:
    """A listening socket: the kernel completes connections, `accept` takes them."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.fd, self.file = kernel.open()
        self.in_accept = False

    def fileno(self) -> int:
        return self.fd

    def complete(self) -> None:
        step()
        if self.fd in self.kernel.files:
            self.file.input += 1

    def accept(self) -> tuple[object, object]:
        assert not self.in_accept, "two accept"
        self.in_accept = True
        step()
        assert self.kernel.files.get(self.fd) is self.file, "accepts when closed"
        self.in_accept = False
        if not self.file.input:
            raise BlockingIOError
        self.file.input -= 1
        return object(), ""

    def close(self) -> None:
        self.kernel.close(self.fd)


class ModelAcceptor(Acceptor):
    _stopped = Shared()
    AT_ONCE = 1


def stopping(acceptor_class: type[ModelAcceptor]) -> Callable[[World], None]:
    """Two clients connect, and then it is stopped; a third connects when it likes."""

    def scenario(world: World) -> None:
        kernel = Kernel()
        lane = ModelLane(kernel)
        listening = Listening(kernel)
        accepted: list[object] = []
        acceptor = acceptor_class(lane, listening, lambda connection, address: accepted.append(connection), None)  # type: ignore[arg-type]
        acceptor.start()

        def stop() -> None:
            listening.complete()
            listening.complete()
            acceptor.stop()

        world.spawn("worker", lane.work)
        world.spawn("reactor", stop)
        world.spawn("client", listening.complete)
        world.run()
        assert acceptor.closed and listening.fd not in kernel.files, "not closed"
        assert len(accepted) >= 2, "left in the kernel"

    return scenario


def test_a_stopped_acceptor_takes_what_has_come_and_closes() -> None:
    assert explore(stopping(ModelAcceptor)) > 100


class ArmsAndGoesAway(ModelAcceptor):
    def arm(self) -> None:
        self._lane.arm(self, self._fd, READ)


class ClosesWithoutALook(ModelAcceptor):
    def arm(self) -> None:
        self._lane.arm(self, self._fd, READ)
        if self._stopped and self._lane.claim(self, self._fd):
            self._lane.forget(self._fd)
            self._socket.close()
            self.closed = True


class StopsWithoutAClaim(ModelAcceptor):
    def stop(self) -> None:
        self._stopped = True
        if self._lane._armed.get(self._fd) is self:
            self.ready()


@pytest.mark.parametrize(
    ("broken", "match"), [(ArmsAndGoesAway, "not closed"), (ClosesWithoutALook, "left in"), (StopsWithoutAClaim, "accept|KeyError")]
)
def test_whether_it_is_stopped_is_looked_for_after_it_is_armed(broken: type[ModelAcceptor], match: str) -> None:
    breaks(stopping(broken), match)


class Impatient(ModelLane):
    """A poller that is told of the event before the holder stands in ``armed``, each time."""

    def arm(self, holder: Holder, fd: int, events: int) -> None:
        self._missed.add(fd)
        super().arm(holder, fd, events)


def test_who_is_missed_each_time_is_served_all_the_same() -> None:
    kernel = Kernel()
    lane = Impatient(kernel)
    thing = Thing(lane, kernel)
    thing.asked = 0
    kernel.interest[thing.file] = (thing.fd, 0)
    for count in range(3):
        lane.arm(thing, thing.fd, READ)
        assert len(lane._late) == count + 1 and not lane._armed
