"""A connection on the fast lane. Whoever owns it, mostly a worker, calls it; nobody else does.

Its life: *armed* (waits for input) -> *read* -> *ready* (requests wait for a worker) -> *turn* (a worker answers them in order) ->
*dispatch* (the last answer of the turn is sent) -> armed again. What the client is too slow to take waits in ``unsent``, and the
connection for room; it takes no further turn before that is gone, so what it holds is bounded.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections import deque

from twisted.logger import Logger

from hendrix.channel.fast import INPUT, READ, UNKNOWN, WRITE, FastLane
from hendrix.channel.response import WIRE_TIMEOUT, Response
from hendrix.channel.sent import unsent, watch
from hendrix.channel.site import FRESH, LINGERING, NOW, SENDING, Last, Peer, Site
from hendrix.errors import Disconnected, PeerError
from hendrix.threads.worker import Worker
from hendrix.wire.http1 import CONTENT, HEAD, IDLE, RequestParser
from hendrix.wire.response import CONTINUE, Stamp
from hendrix.wsgi.call import Successor

# Bytes of one read: between requests, and in the middle of a large content.
SMALL_READ = 16384
LARGE_READ = 262144
# Bytes that an application may be ahead of its client; above, its thread waits, or the next request does.
HIGH_WATER = 262144
# Bytes for one sendfile call, so that one fast client does not hold a worker.
FILE_PIECE = 1 << 20
# Seconds of pipelined requests that one connection may have answered before others have their turn.
TURN = 0.005
# The same when the process is about to end.
DRAIN_LINGER = 1.0

log = Logger(namespace="hendrix.channel")

DONTWAIT = socket.MSG_DONTWAIT
RESET = struct.pack("ii", 1, 0)


class FilePart:
    """Bytes of an open file that the kernel is to send."""

    __slots__ = ("count", "file", "offset")

    def __init__(self, file: int, offset: int, count: int) -> None:
        # The application closes its file before the client has read it.
        self.file, self.offset, self.count = os.dup(file), offset, count

    def send(self, sock: socket.socket) -> int:
        sent = os.sendfile(sock.fileno(), self.file, self.offset, min(self.count, FILE_PIECE))
        if not sent:
            raise OSError("the file became shorter while it was sent")
        self.offset += sent
        self.count -= sent
        return sent

    def close(self) -> None:
        os.close(self.file)


class FastConnection:
    """One client. A `Holder` of the lane, a `Job` and a `Parcel` of the crew, and an `Outlet` for the application."""

    __slots__ = (
        "_answer",
        "_asked",
        "_finished",
        "_held",
        "_keep_alive",
        "_lane",
        "_late",
        "_parser",
        "_peer",
        "_refusal",
        "_site",
        "_size",
        "_socket",
        "_unsent",
        "_worker",
        "draining",
        "fd",
        "leaving",
        "left",
        "open",
        "owners",
        "response",
        "since",
        "stage",
        "stamp",
    )  # fmt: skip

    def __init__(self, lane: FastLane, site: Site, sock: socket.socket, peer: Peer, owners: set[FastConnection]) -> None:
        self._lane, self._site, self._socket, self._peer = lane, site, sock, peer
        self.stamp: Stamp = site.stamp
        self.fd = sock.fileno()
        self.owners = owners
        self.open = self.left = True  # whoever finds it closed before `close` says why met a broken connection
        self.leaving = 0
        self.draining: bool | Last = False
        # A client that has just connected owes us a request line, as one that has begun it.
        self.stage: int = HEAD
        self.since = lane.now
        self._asked: int | None = None  # for what the kernel watches it; 0: it must look again
        self._parser: RequestParser | None = None
        self._refusal: PeerError | None = None
        self._unsent: deque[memoryview | FilePart] | None = None
        self._size = self._held = 0
        self._keep_alive = True
        self._answer = b""
        self._worker: Worker | None = None
        self.response: Response | None = None
        self._late: list[Response] = []  # complete, and not all out yet
        self._finished = 0.0
        owners.add(self)

    # Armed, then read. The owner is the thread that polls.

    def ready(self, event: int = UNKNOWN) -> None:
        if self.stage == SENDING:
            self._send_more()
            return
        if self.stage == LINGERING:
            self._discard()
            return
        size = LARGE_READ if self.stage == CONTENT else SMALL_READ
        try:
            data = self._socket.recv(size, DONTWAIT)
        except BlockingIOError:
            self._wait_for_input()
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        if (event != INPUT or len(data) == size) and self._asked:
            self._asked = 0  # there may be more, or the end
        parser = self._parser
        if parser is None:
            parser = self._parser = self._site.parser()
        try:
            parser.feed(data)
        except PeerError as error:
            self._refusal = error
        if parser.requests or self._refusal is not None:
            self._queue(parser)
        else:
            self._wait_for_input()

    def _queue(self, parser: RequestParser) -> None:
        """Stand in line for a worker, or hear that the line is too long."""
        ready = self._lane.crew.ready
        if len(ready) < self._site.limits.backlog or not parser.requests or not self._site.is_full(len(ready)):
            self.since = self._lane.now
            ready.append(self)
            return
        self._keep_alive = False
        self._transmit(self._site.overloaded(parser.requests.popleft(), self._peer))
        self.sent()

    def _wait_for_input(self) -> None:
        parser = self._parser
        if parser is None:
            stage = HEAD
        else:
            if parser.wants_continue:
                # Every answer before it is out by now (RFC 9110 section 10.1.1).
                parser.wants_continue = False
                self._transmit(CONTINUE)
                if self._unsent:
                    self._wait_to_send()
                    return
            stage = parser.stage
        idle = stage == IDLE if parser is not None else self._lane.now - self.since > FRESH
        if self.leaving == NOW and idle and not watch.watches(self):
            self.close()
            return
        if stage != HEAD or self.stage != HEAD:
            # The head has one deadline for all of it, content one for each read: a client that trickles its head gains nothing.
            self.since = self._lane.now
        self.stage = stage
        self._arm(READ)

    def _wait_to_send(self) -> None:
        self.stage, self.since = SENDING, self._lane.now
        self._arm(WRITE)

    def arm(self) -> None:
        self._arm(WRITE if self._unsent else READ)

    def _arm(self, events: int) -> None:
        asked, self._asked = self._asked, events
        if asked is None:
            self._lane.arm_first(self, self.fd, events)
        elif asked == events == READ:
            self._lane.wait(self, self.fd)
        else:
            self._lane.arm(self, self.fd, events)

    # A turn. The owner is a worker.

    @property
    def unanswered(self) -> int:
        """How many requests have come and not been begun (the owner)."""
        return len(self._parser.requests) if self._parser is not None else 0

    @property
    def title(self) -> str:
        """What is being answered, for people (any thread)."""
        response = self.response
        return "" if response is None else response.title

    def run(self, worker: Worker) -> None:
        parser = self._parser
        assert parser is not None
        self._worker = worker
        requests, site, peer = parser.requests, self._site, self._peer
        mounts = site.mounts
        began = 0.0
        while requests and self.open:
            if mounts is not None and mounts.takes(requests[0].target):
                self._move(worker)
                return
            # True: the turn is over, and the connection may belong to somebody else by now.
            if site.respond(requests.popleft(), peer, self, worker):
                return
            if not began:
                began = site.clock()
            elif site.clock() - began > TURN:
                worker.dispatch()
                self._lane.crew.enqueue(self)
                return
        self._keep_alive = False
        if self._refusal is not None:
            self._answer = site.refuse(self._refusal, peer, parser)
        worker.hold(self)

    def _move(self, worker: Worker) -> None:
        """The next request is none of a worker's: to the reactor lane, when all before it is sent."""
        worker.dispatch()
        self.response = None  # its answer has seen to it
        if self._unsent or not self.open:
            worker.hold(self)  # and we are back when the client has taken it
            return
        self._worker = None
        if self._asked is not None:
            self._lane.forget(self.fd)
        assert self._site.move is not None
        self._site.move(self)

    def leave(self) -> tuple[Peer, RequestParser, PeerError | None, int]:
        """What the connection goes on with on the reactor lane (the reactor thread, which owns it now)."""
        parser = self._parser
        assert parser is not None
        self.owners.discard(self)
        self._parser = None
        return self._peer, parser, self._refusal, self.leaving

    @property
    def sock(self) -> socket.socket:
        return self._socket

    def finish(self, data: bytes, keep_alive: bool) -> bool:
        worker: Worker = self._worker  # type: ignore[assignment]
        parser: RequestParser = self._parser  # type: ignore[assignment]
        response = self.response
        stays = response is not None and response.stays  # this thread may wait for the client: it must let go of the connection
        if keep_alive and (parser.requests or self._refusal is not None) and not self._unsent and not stays:
            worker.hold(Answer(self, data, response))
            self._held += len(data)
            if self._held > HIGH_WATER:
                self._held = 0
                worker.dispatch()
            return False
        self._keep_alive, self._answer = keep_alive, data
        held = worker.held  # as Worker.hold does, without the call
        if not held:
            worker.since = self._site.clock()
        held.append(self)
        return True

    def stream(self, data: bytes) -> None:
        worker = self._worker
        assert worker is not None
        worker.dispatch()
        self._transmit(data)
        if self._size > HIGH_WATER:
            self._wait_for_room()
        if not self.open:
            raise Disconnected("the client has gone")

    def send_file(self, data: bytes, file: int, offset: int, count: int) -> bool:
        assert self._worker is not None
        self._worker.dispatch()
        self._socket.setblocking(False)  # sendfile has no flag for it
        self._transmit(data)
        self._keep(FilePart(file, offset, count))
        self._push()
        return True

    def hand_over(self, data: bytes, successor: Successor) -> bool:
        worker, parser, response = self._worker, self._parser, self.response
        assert worker is not None and parser is not None and self._site.hand_over is not None
        if parser.requests or self._refusal is not None or parser.stage != IDLE:
            self._refusal = None
            return self.finish(self._site.impatient(response), False)
        worker.dispatch()
        self._transmit(data)
        self._worker = self.response = None
        self.owners.discard(self)
        if self._asked is not None:
            self._lane.forget(self.fd)
        if response is not None:
            self._late.append(response)
        if self.open and not self._unsent:
            self._taken()
        else:
            self._all_out(gone=not self.open)
        unsent = [bytes(item) for item in self._unsent or () if isinstance(item, memoryview)]
        self._site.hand_over(self._socket, unsent, successor)
        return True

    def abort(self) -> bool:
        worker, response = self._worker, self.response
        assert worker is not None and response is not None
        worker.dispatch()
        if self.open and response.ends_visibly:
            # Not by a reset: that would take along the answers before it that have not arrived.
            self.response = None
            response.went_out(gone=True)
            return self.finish(b"", False)
        self._late.append(response)
        self.close(reset=True)
        return True

    # Sent. The owner is the worker, or the monitor for it, or the thread that polls.

    def send(self) -> None:
        """The last bytes of the turn. As `_transmit`, which is one call more."""
        data, self._answer = self._answer, b""
        if self._unsent or not data or not self.open:
            self._transmit(data)
            return
        try:
            sent = self._socket.send(data, DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.open = False
            return
        if sent < len(data):
            self._keep(memoryview(data)[sent:])

    def sent(self) -> None:
        """The turn is over, and all of it sent or kept."""
        self._worker = None
        parser, response = self._parser, self.response
        if response is not None:
            self.response = None
            if response.after or self._late or self._unsent or not (response.closed and self.open):
                self.complete(response)  # what has tasks is out when the kernel has sent it: `_taken` asks
            else:
                response.out = True  # flag first, look second: see Response
                if response.after:
                    response.went_out()
        if not self.open:
            self.close()
        elif self._unsent:
            self._wait_to_send()
        elif not self._keep_alive:
            self._part()
        elif parser is not None and (parser.requests or self._refusal is not None):
            self._queue(parser)
        elif self.leaving == NOW:
            self.stage = IDLE
            self.ready()  # closes, unless something has come in
        elif parser is not None and parser.stage == IDLE:
            self.stage, self.since = IDLE, self._lane.now
            if self._asked == READ:
                self._lane.wait(self, self.fd)
            else:
                self._arm(READ)
        else:
            self.stage = IDLE
            self._wait_for_input()

    def complete(self, response: Response) -> None:
        """All of a response is sent or kept."""
        done = response.closed and not response.after
        if self.open and not self._unsent and not self._late and (done or not unsent(self._socket)):
            response.went_out()  # as `_taken` would find
            return
        self._late.append(response)
        self._finished = self._lane.now
        if self.open and not self._unsent:
            self._taken()

    def _taken(self) -> None:
        """The kernel has taken all. What has tasks is out when it has sent it, too."""
        if any(response.after or not response.closed for response in self._late) and unsent(self._socket):
            late, self._late = self._late, []
            watch.add(self, self._socket, late, time.monotonic() + WIRE_TIMEOUT)
        else:
            self._all_out()

    def _all_out(self, gone: bool = False) -> None:
        late, self._late = self._late, []
        for response in late:
            response.went_out(gone)

    def _transmit(self, data: bytes) -> None:
        """Send what the kernel takes, keep the rest."""
        if not data or not self.open:
            return
        if self._unsent:
            self._keep(memoryview(data))
            return
        try:
            sent = self._socket.send(data, DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.open = False
            return
        if sent < len(data):
            self._keep(memoryview(data)[sent:])

    def _keep(self, item: memoryview | FilePart) -> None:
        if self._unsent is None:
            self._unsent = deque()
        self._unsent.append(item)
        if isinstance(item, memoryview):
            self._size += len(item)

    def _push(self) -> bool:
        """Send of what is kept as much as the kernel takes. True if something went."""
        unsent, moved = self._unsent, False
        try:
            while unsent:
                item = unsent[0]
                if isinstance(item, FilePart):
                    item.send(self._socket)
                    moved = True
                    if item.count:
                        break  # others have their turn; there is room, so the event comes again at once
                    item.close()
                    unsent.popleft()
                    continue
                sent = self._socket.send(item, DONTWAIT)
                moved = True
                self._size -= sent
                if sent < len(item):
                    unsent[0] = item[sent:]
                    break
                unsent.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self.open = False
        return moved

    def _send_more(self) -> None:
        if not self._push() and self.open:
            self._arm(WRITE)  # only the drain asked, and that puts off no deadline
            return
        if self._late and not self._unsent and self.open:
            self._taken()
        self.sent()

    def _wait_for_room(self) -> None:
        """The application is too far ahead of its client: its thread waits, no longer than the write timeout without progress."""
        poller = select.poll()
        poller.register(self.fd, select.POLLOUT)
        while self.open and self._size > HIGH_WATER // 2:
            if not poller.poll(self._site.limits.write_timeout * 1000):
                self.open = False
                if self.response is not None:
                    self.response.slow = True
            else:
                self._push()

    def give_up(self, response: Response, answer: bytes) -> socket.socket | None:
        """The application has this for too long (the reactor thread, which does not own the connection).

        Whatever the owner sends after the exchange of the sockets goes nowhere, and it says that it is about to send before it looks for
        the socket. So if it has said nothing by now, nothing of the response will ever leave.
        """
        dead = socket.socket()
        ours, self._socket = self._socket, dead
        if self.response is response and not response.begun and not self._unsent:
            try:
                ours.send(answer, DONTWAIT)
                ours.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            return ours
        self._socket = ours
        dead.close()
        if self.response is response:
            try:
                ours.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        return None

    # The end.

    def _part(self) -> None:
        """Close so that what was sent arrives: a socket closed with input unread resets the connection (RFC 9112 section 9.6)."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
            return
        self.stage, self.since = LINGERING, self._lane.now
        self._arm(READ)

    def _discard(self) -> None:
        try:
            # The sweep seldom finds a client armed that never stops sending.
            if self._socket.recv(LARGE_READ, DONTWAIT) and not self.overdue(self._lane.now):
                self._asked = 0
                self._arm(READ)
            else:
                self.close()
        except BlockingIOError:
            self._arm(READ)
        except OSError:
            self.stage = IDLE
            self.close()

    def fail(self) -> None:
        self.close(reset=True)

    def close(self, reset: bool = False) -> None:
        """Let go of everything (the owner)."""
        # After our own end of the connection nobody hears of the client's: it is taken for one that reads.
        self.left = self.stage != LINGERING or reset
        self.open = False
        self.owners.discard(self)
        self._all_out(gone=self.left)
        if self._parser is not None:
            self._parser.close()
            for request in self._parser.requests:
                if request.content is not None:
                    request.content.close()
        for item in self._unsent or ():
            if isinstance(item, FilePart):
                item.close()
        self._unsent = None
        if reset:
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            except OSError:
                pass
        self._socket.close()

    # Deadlines and drain: the reactor thread, which takes the baton first.

    def overdue(self, now: float) -> bool:
        """Whether it has waited too long for what it waits for. A hint: ask again when it is yours."""
        return now - self.since > self._site.limits.seconds(self.stage) or self._holds_up_tasks(now)

    def _holds_up_tasks(self, now: float) -> bool:
        return bool(self._late) and now - self._finished > WIRE_TIMEOUT

    def expire(self, now: float) -> None:
        """Close if overdue, saying why if a request was begun (RFC 9110 section 15.5.9)."""
        if not self._lane.claim(self, self.fd):
            return
        if self._holds_up_tasks(now):
            if any(response.after for response in self._late):
                log.warn("the client at {peer} has not read for {seconds:g} s: tasks start", peer=self._peer[0], seconds=WIRE_TIMEOUT)
            self._all_out()
        if not self.overdue(now):
            self.arm()
            return
        if self._parser is not None and self.stage in (HEAD, CONTENT):
            error = PeerError(408, "the request did not arrive in time")
            self._transmit(self._site.refuse(error, self._peer, self._parser))
            self._keep_alive = False
            self.sent()
            return
        self._lane.forget(self.fd)
        for response in self._late:
            response.slow = True
        self.close(reset=self.stage == SENDING)

    def drain(self, when: int = NOW) -> None:
        """Answer what has come, then close. If nothing has: `NOW`, or after the answer to what comes yet (`LAST`)."""
        self.leaving, self.draining = when, Last(self)
        if when == NOW and self._lane.claim(self, self.fd):
            if self.stage == LINGERING and self._lane.now - self.since > DRAIN_LINGER:
                self._lane.forget(self.fd)
                self.close()
            else:
                self.ready()

    def cut(self) -> None:
        """Close now, whatever it waits for. If a worker has it, that finds a broken connection when it sends."""
        if self._lane.claim(self, self.fd):
            self._lane.forget(self.fd)
            self.close(reset=self.stage != LINGERING)  # whose answer is out already
        else:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Answer:
    """An answer that is not the last one of its turn. A `Parcel`: only sends."""

    __slots__ = ("_connection", "_data", "_response")

    def __init__(self, connection: FastConnection, data: bytes, response: Response | None) -> None:
        self._connection, self._data, self._response = connection, data, response

    def send(self) -> None:
        self._connection._transmit(self._data)

    def sent(self) -> None:
        """Its turn goes on."""
        if self._response is not None:
            self._connection.complete(self._response)
