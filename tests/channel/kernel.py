"""As much of a kernel as the fast lane sees: descriptors that are used again, and an epoll with edge-triggered and one-shot events.

Every call is a step for the explorer (interleavings.py). The kernel complains of what no real one would notice: that somebody
touches the descriptor of another.
"""

from __future__ import annotations

import select
from collections.abc import Callable

from interleavings import Deque, Dict, Set, step, wait

from hendrix.channel.fast import READ, WRITE, FastLane

BELL = -1


class File:
    """An open socket: how much of what has come in, and whether there is room for what goes out."""

    def __init__(self) -> None:
        self._input = 0
        self.room = False
        self.edge = False  # something has come of which nobody was told

    @property
    def input(self) -> int:
        return self._input

    @input.setter
    def input(self, size: int) -> None:
        self.edge |= size > self._input
        self._input = size

    def ready(self, events: int) -> bool:
        return bool((events & select.EPOLLIN and self.input) or (events & select.EPOLLOUT and self.room))


class Kernel:
    """The descriptors of a process, and its only epoll."""

    def __init__(self) -> None:
        self.files: dict[int, File] = {}
        self.interest: dict[File, tuple[int, int]] = {}
        self.rings = False

    def open(self) -> tuple[int, File]:
        """A new file under the lowest free number, as the real kernel's."""
        fd = min(set(range(3, 9)) - self.files.keys())
        self.files[fd] = File()
        return fd, self.files[fd]

    def close(self, fd: int) -> None:
        step()
        self.interest.pop(self.files.pop(fd), None)

    # The epoll.

    def _ready(self) -> list[File]:
        return [file for file, (_, events) in self.interest.items() if file.ready(events) and (file.edge or not events & select.EPOLLET)]

    def has_events(self) -> bool:
        return self.rings or bool(self._ready())

    def ring(self) -> None:
        step()
        self.rings = True

    def poll(self, seconds: float, at_most: int) -> list[tuple[int, int]]:
        step()
        if seconds:
            wait(self.has_events)
        found = [(file, self.interest[file][0]) for file in self._ready()[:at_most]]
        for file, fd in found:
            file.edge = False
            if not self.interest[file][1] & select.EPOLLET:
                self.interest[file] = (fd, 0)
        rung, self.rings = self.rings, False
        return [(fd, select.EPOLLIN) for _, fd in found] + [(BELL, select.EPOLLIN)] * rung

    def register(self, fd: int, events: int) -> None:
        step()
        assert self.files[fd] not in self.interest
        self._watch(fd, events)

    def modify(self, fd: int, events: int) -> None:
        step()
        assert fd in self.files, "touches a stranger"
        assert self.files[fd] in self.interest, "touches a stranger"
        self._watch(fd, events)

    def _watch(self, fd: int, events: int) -> None:
        file = self.files[fd]
        self.interest[file] = (fd, events)
        file.edge = file.ready(events)

    def unregister(self, fd: int) -> None:
        step()
        del self.interest[self.files[fd]]


class ModelLane(FastLane):
    def __init__(self, kernel: Kernel) -> None:
        self._poller = kernel  # type: ignore[assignment]
        self._armed = Dict()
        self._missed = Set()
        self._late = Deque()
        self._bell = BELL
        self._clock = lambda: 0.0
        self.now = 0.0

    def wake(self) -> None:
        self._poller.ring()  # type: ignore[attr-defined]

    def _hear(self) -> None:
        """The kernel's model has heard it."""

    def work(self) -> None:
        """What a worker does."""
        while True:
            self.poll(-1, 64)


class Thing:
    """A `Holder` that notes what it reads, and sees that one thread at a time has it."""

    def __init__(self, lane: FastLane, kernel: Kernel, events: int = READ) -> None:
        self.lane, self.kernel, self.events = lane, kernel, events
        self.fd, self.file = kernel.open()
        self.owned = self.closed = False
        self.asked: int | None = None
        self.looks = self.read = 0

    def take(self) -> None:
        assert not self.owned, "two have it"
        assert not self.closed, "an event for a closed connection"
        self.owned = True

    def ready(self, event: int = 0) -> None:
        self.take()
        self.looks += 1
        step()
        if self.events == READ:
            self.read, self.file.input = self.read + self.file.input, 0
        elif self.file.room:
            self.events = READ  # all is sent
        self.arm_owned()

    def arm(self) -> None:
        self.take()
        self.arm_owned()

    def arm_owned(self) -> None:
        self.owned = False
        assert self.kernel.files.get(self.fd) is self.file
        asked, self.asked = self.asked, self.events
        if asked is None:
            self.lane.arm_first(self, self.fd, self.events)
        elif asked == self.events == READ:
            self.lane.wait(self, self.fd)
        else:
            self.lane.arm(self, self.fd, self.events)

    def fail(self) -> None:
        """`ready` raised, and the lane has logged it."""

    def claimed(self, then: Callable[[], None]) -> bool:
        """What the reactor does at a deadline, or in the drain."""
        if not self.lane.claim(self, self.fd):
            return False
        self.take()
        then()
        return True

    def close(self) -> None:
        self.lane.forget(self.fd)
        self.closed = True
        self.owned = False
        self.kernel.close(self.fd)

    @property
    def waits_in_vain(self) -> bool:
        """There is input, or room, and nobody was told."""
        return not self.closed and self.file.ready(self.events)


__all__ = ["READ", "WRITE", "File", "Kernel", "ModelLane", "Thing"]
