"""The fast lane: plain sockets, read and written by the crew itself. One epoll is its `Source`.

*An event is a hint, the pop is the baton.* What waits for input stands in ``armed`` under its file descriptor, and whoever pops it from
there, a worker that was told of input or the reactor at a deadline, owns it until it arms it again. So a late event for a descriptor
that has been closed and used again does no harm: it makes somebody look at a connection that has nothing to read.

*The kernel tells of what comes, not of what is there* (edge-triggered, which saves a system call for each request). Who waits for input
has read all there was; or else it asks the kernel, by `arm`, to look again.

*The owner alone touches the descriptor.* It tells the kernel first and puts itself in ``armed`` second: from then on another may close
the descriptor, and a stranger may have its number. An event that comes in between finds nobody; it is noted in ``missed``, and who arms
looks there last.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from twisted.logger import Logger

from hendrix.threads.crew import Crew

log = Logger(namespace="hendrix.channel")

# Without these (macOS) all connections take the reactor lane.
AVAILABLE = hasattr(select, "epoll") and hasattr(select, "EPOLLONESHOT") and hasattr(os, "eventfd")
# What a holder waits for: input, for as long as it likes; input, and room for output, until it comes.
READ = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET if AVAILABLE else 0
READ_ONCE = select.EPOLLIN | select.EPOLLONESHOT if AVAILABLE else 0
WRITE = select.EPOLLOUT | select.EPOLLONESHOT if AVAILABLE else 0

# The event that tells of bytes and no more: no end, no error. With any other, and where none is known, there may be more than is read.
INPUT = select.EPOLLIN if AVAILABLE else 0
UNKNOWN = 0


class Holder(Protocol):
    """What waits for input: a connection or a listening socket."""

    def ready(self, event: int = UNKNOWN) -> None:
        """There may be input, or room for output. The caller has popped it from ``armed``: it owns itself now."""

    def arm(self) -> None:
        """Wait (again)."""

    def fail(self) -> None:
        """`ready` raised: a bug. Close."""


class FastLane:
    """The `Source` of a crew: readiness of plain sockets.

    :param clock: seconds, monotonic.
    :ivar crew: runs the requests; set once before `poll` is called.
    :ivar now: the clock, as of the last look; good enough for deadlines.
    """

    crew: Crew

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._poller = select.epoll()
        self._armed: dict[int, Holder] = {}
        self._missed: set[int] = set()
        self._late: deque[Holder] = deque()  # owned by whoever pops them: something came for them before they stood in ``armed``
        self._clock = clock
        self.now = clock()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poller.register(self._bell, select.EPOLLIN)

    # Source: worker threads, and the monitor.

    def poll(self, seconds: float, most: int) -> None:
        armed = self._armed
        events = self._poller.poll(seconds, most)
        self.now = self._clock()
        for fd, event in events:
            holder = armed.pop(fd, None)
            if holder is None and fd != self._bell:
                self._missed.add(fd)
                holder = armed.pop(fd, None)  # note first, look second: who arms puts itself there first, and looks at the notes second
            if holder is not None:
                self.serve(holder, event)
            elif fd == self._bell:
                self._hear()
        while self._late:
            try:
                holder = self._late.popleft()
            except IndexError:  # another worker was quicker
                break
            self.serve(holder)

    def serve(self, holder: Holder, event: int = UNKNOWN) -> None:
        """There is something for a holder that the caller owns."""
        try:
            holder.ready(event)
        except Exception:
            self._fail(holder)

    def _fail(self, holder: Holder) -> None:
        """Whatever goes wrong with one of them, the thread that polls lives on."""
        log.failure("reading from a socket failed: this is a bug in hendrix")
        try:
            holder.fail()
        except Exception:
            log.failure("closing a socket failed: this is a bug in hendrix")

    def wake(self) -> None:
        try:
            os.eventfd_write(self._bell, 1)
        except (OSError, ValueError):
            pass  # it rings already, or all is closed and a thread that was left behind has come to its end

    def _hear(self) -> None:
        try:
            os.eventfd_read(self._bell)
        except BlockingIOError:
            pass  # another worker heard it

    # The owner of a holder.

    def arm(self, holder: Holder, fd: int, events: int) -> None:
        """Wait for ``events``, of which some may be there already. From here on the holder belongs to whoever pops it."""
        self._poller.modify(fd, events)
        self.wait(holder, fd)

    def wait(self, holder: Holder, fd: int) -> None:
        """Wait for what the kernel has been asked for already, and is not there yet."""
        self._armed[fd] = holder
        if self._missed:
            self._arm_again(holder, fd)

    def arm_first(self, holder: Holder, fd: int, events: int) -> None:
        """The same for a descriptor that is new here."""
        self._poller.register(fd, events)
        self.wait(holder, fd)

    def _arm_again(self, holder: Holder, fd: int) -> None:
        """If an event came before the holder stood in ``armed``. Only its owner takes the note: it may be for another by now."""
        if fd in self._missed and self.claim(holder, fd):
            self._missed.discard(fd)
            # Its event is taken as it is. To arm once more would only have the thread that polls miss the next, again and again.
            self._late.append(holder)  # first, and ring second: who polls hears the bell first, and looks second
            self.wake()

    def claim(self, holder: Holder, fd: int) -> bool:
        """Take a holder that waits (the reactor thread). False if somebody else has it."""
        if self._armed.get(fd) is not holder:
            return False
        taken = self._armed.pop(fd, None)
        if taken is holder:
            return True
        if taken is not None:  # it went between the two steps, and another came to stand under its number
            taken.arm()
        return False

    def forget(self, fd: int) -> None:
        """Before a descriptor is closed that has been claimed: its event may still be due, and a fork may hold it open."""
        try:
            self._poller.unregister(fd)
        except (OSError, ValueError):
            pass

    def tick(self) -> float:
        """Set the clock, and give it (the reactor thread)."""
        self.now = self._clock()
        return self.now

    def close(self) -> None:
        """After the crew has quit."""
        bell, self._bell = self._bell, -1  # first: the number may soon be another's
        self._poller.close()
        os.close(bell)


class Acceptor:
    """A listening socket on the fast lane.

    :param listening: non-blocking; closed by `stop`.
    :param connected: called with each new socket and the client's address, on the thread that accepted it.
    :param call_later: calls a function after so many seconds; called on any thread.
    :param shared: other processes accept on the same socket. They may have what this one cannot serve at once.
    :ivar closed: it has been stopped, and all that it ever accepts has been.
    """

    # Accepted in one go before others have their turn.
    AT_ONCE = 64
    # The same where other processes accept too, so that a crowd is shared among them.
    SHARED_AT_ONCE = 4
    # The same when it is stopped: all that the kernel may have completed.
    AT_LAST = 4096
    # Seconds to leave new connections alone when there are no file descriptors left.
    PAUSE = 1.0
    # Seconds to leave the rest of a crowd to other processes, which may be asleep yet. They keep what they accept for a long time.
    TURN = 0.002
    # Seconds to leave newcomers to other processes when all threads of this one are stuck.
    STEP_BACK = 0.02

    def __init__(
        self,
        lane: FastLane,
        listening: socket.socket,
        connected: Callable[[socket.socket, object], None],
        call_later: Callable[..., object],
        shared: bool = False,
    ) -> None:
        self._lane, self._socket, self._connected, self._call_later = lane, listening, connected, call_later
        self._fd = listening.fileno()
        self._stopped = False
        self._shared = shared
        self._at_once, self._at_last = self.SHARED_AT_ONCE if shared else self.AT_ONCE, self.AT_LAST
        self.closed = False

    def start(self) -> None:
        self._lane.arm_first(self, self._fd, READ_ONCE)

    def ready(self, event: int = UNKNOWN) -> None:
        stopped = self._stopped
        if self._shared and not stopped and self._lane.crew.busy >= self._lane.crew.size:
            self._call_later(self.STEP_BACK, self.arm)
            return
        try:
            for _ in range(self._at_last if stopped else self._at_once):
                connection, address = self._socket.accept()
                self._connected(connection, address)
            if self._shared and not stopped:  # there may be more: a crowd
                self._call_later(self.TURN, self.arm)
                return
        except (BlockingIOError, ConnectionAbortedError):
            pass
        except OSError as error:
            log.error("cannot accept a connection: {error}", error=error)
            if not stopped:
                self._call_later(self.PAUSE, self.arm)
                return
        if stopped:
            self._lane.forget(self._fd)
            self._socket.close()
            self.closed = True
        else:
            self.arm()

    def arm(self) -> None:
        self._lane.arm(self, self._fd, READ_ONCE)
        # Look second: `stop` raises the flag first and looks for it in `armed` second.
        if self._stopped and self._lane.claim(self, self._fd):
            self.ready()

    def fail(self) -> None:
        self.arm()

    def stop(self, accept: bool = True) -> None:
        """Accept what the kernel has completed already, and no more (the reactor thread). If a worker has it, that sees to it.

        :param accept: False leaves that to other processes, which have the socket too.
        """
        if not accept:
            self._at_last = 0
        self._stopped = True
        if self._lane.claim(self, self._fd):
            self.ready()
