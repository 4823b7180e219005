"""The reactor lane: TLS, and every transport that is not a plain socket. The reactor owns the connection, always.

A worker calls the application and posts what it answers to the mailbox; the reactor writes it. One request of a connection at a time is
with a worker, so answers leave in order.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer, ISSLTransport
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from zope.interface import implementer

from hendrix.channel.fast_connection import HIGH_WATER
from hendrix.channel.response import WIRE_TIMEOUT, Response
from hendrix.channel.sent import LONGEST_LOOK, unsent
from hendrix.channel.site import BUSY, FRESH, LINGERING, NOW, SENDING, Last, Peer, Site
from hendrix.channel.tls import tls_version
from hendrix.channel.wires import TransportWire
from hendrix.errors import Disconnected, PeerError
from hendrix.threads.crew import Crew
from hendrix.threads.mailbox import Mailbox
from hendrix.threads.worker import Worker
from hendrix.wire.http1 import CONTENT, HEAD, IDLE, Request
from hendrix.wire.measured import MeasuredParser
from hendrix.wire.response import CONTINUE, Stamp
from hendrix.wsgi.call import Successor

if TYPE_CHECKING:
    from hendrix.channel.fast_connection import FastConnection
    from hendrix.channel.rendering import Rendering

log = Logger(namespace="hendrix.channel")

UNKNOWN: Peer = ("", "")
# Seconds between two looks whether a response with tasks is out.
LOOK = 0.001
# Requests of one connection that wait; above, it is not read.
PIPELINED = 16
# Bytes handed to the transport at once, so that a slow reader is seen to make progress.
PIECE = 65536


@implementer(IHalfCloseableProtocol, IPushProducer)
class ReactorConnection(Protocol):
    """One client. Every method runs in the reactor thread.

    :ivar rendering: what of `Site.mounts` is being answered.
    """

    transport: Any
    secure = False
    rendering: Rendering | None = None

    def __init__(self, site: Site, crew: Crew, mailbox: Mailbox, owners: set[ReactorConnection], reactor: Any) -> None:
        self.site, self.crew, self.mailbox, self._owners, self._reactor = site, crew, mailbox, owners, reactor
        self.peer: Peer = UNKNOWN
        self.leaving = 0
        self.lost = threading.Event()
        self.room = threading.Event()
        self.stage: int = HEAD
        self.response: Response | None = None
        self._late: list[Response] = []  # complete, and not all out yet
        self._finished = 0.0
        self._asked = 0
        self.since = site.clock()
        self._parser = site.parser()
        self._refusal: PeerError | None = None
        self._outgoing: deque[memoryview] = deque()
        self._busy = self._paused = self._reading_paused = self._closing = self._given_up = False
        self._wire: TransportWire | None = None  # once it has been handed over
        self.call_later = reactor.callLater

    def move_in(self, fast: FastConnection) -> None:
        """Go on with what a connection has read that leaves the fast lane; then it is made to a transport, and `go_on`."""
        self.peer, self._parser, self._refusal, self.leaving = fast.leave()

    # IProtocol.

    def connectionMade(self) -> None:
        self._owners.add(self)
        self.secure = ISSLTransport.providedBy(self.transport)
        if self.secure:
            self.site = replace(self.site, base=self.site.base | {"wsgi.url_scheme": "https"})
            self._parser = self.site.parser()
        self._lowest = self.transport
        while isinstance(self._lowest, ProtocolWrapper):
            self._lowest = self._lowest.transport
        self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        if self._wire is not None:
            self._wire.received(data)
            return
        if self.peer is UNKNOWN:  # not before: haproxy: learns it from the first bytes
            address = self.transport.getPeer()
            known = not self.site.anonymous
            self.peer = (str(getattr(address, "host", "")), str(getattr(address, "port", ""))) if known else ("", "")
            if isinstance(self._parser, MeasuredParser):
                self._parser.tls = tls_version(self.transport)
        if self._closing or self._refusal is not None:
            return  # lingering
        try:
            self._parser.feed(data)
        except PeerError as error:
            self._refusal = error
        if len(self._parser.requests) >= PIPELINED and not self._reading_paused:
            self._reading_paused = True
            self.transport.pauseProducing()
        self._go_on()

    def readConnectionLost(self) -> None:
        if self._wire is not None:
            self.transport.loseConnection()
            return
        self._parser.finished = True
        if self.rendering is not None and not self._parser.requests:
            self.rendering.lost()  # as with twisted.web; what answers only when something happens would never hear of it
            self.answered(b"", False)
        elif not self._busy and not self._parser.requests and not self._outgoing:
            self._close()

    def writeConnectionLost(self) -> None:
        """We did that."""

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.lost.set()
        self.room.set()
        if self.rendering is not None:
            self.rendering.lost()
        if self._wire is not None:
            self._wire.gone()
        done = self._closing and not self._outgoing and reason is not None and reason.check(ConnectionDone)
        self._all_out(gone=not done)
        self._owners.discard(self)
        self._parser.close()
        for request in self._parser.requests:
            if request.content is not None:
                request.content.close()
        self._parser.requests.clear()
        self._outgoing.clear()

    # Requests.

    @property
    def unanswered(self) -> int:
        """How many have come and not been begun. Any thread."""
        return len(self._parser.requests)

    @property
    def title(self) -> str:
        """What is being answered, for people; "" if nothing is."""
        answered = self.rendering or self.response
        return answered.title if answered is not None else ""

    def go_on(self) -> None:
        """It has moved in."""
        self._go_on()

    def _go_on(self) -> None:
        """Hand the next request to a worker, or wait for more."""
        if self._busy or self._closing or self.lost.is_set():
            return
        if self._outgoing or self._paused:
            self.stage = SENDING  # until `_pump`: what waits for the client is one answer, not as many as it asked for
        elif self._parser.requests:
            self._next()
        elif self._refusal is not None:
            self.write(self.site.refuse(self._refusal, self.peer, self._parser))
            self._close()
        elif self.leaving == NOW and self._parser.stage == IDLE or self._parser.finished:
            self._close()
        else:
            self._wait()

    def _next(self) -> None:
        request = self._parser.requests.popleft()
        if self.site.mounts is not None and self.site.mounts.takes(request.target):
            self._busy, self.stage = True, BUSY
            self.rendering = self.site.mounts.rendering(self, request)
            # Not at once: a client may have sent a hundred of them, and each would be some levels deeper.
            self.call_later(0, self.rendering.begin)
            return
        if self.site.is_full(self.crew.backlog):
            self.answered(self.site.overloaded(request, self.peer), False)
            return
        self._busy, self.stage = True, BUSY
        self.crew.submit(Turn(self, request))

    def _wait(self) -> None:
        if self._reading_paused:
            self._reading_paused = False
            self.transport.resumeProducing()
        if self._parser.wants_continue:
            self._parser.wants_continue = False
            self.write(CONTINUE)
        stage = self._parser.stage
        if stage != HEAD or self.stage != HEAD:
            self.since = self.site.clock()
        self.stage = stage

    def answered(self, data: bytes, keep_alive: bool, response: Response | None = None) -> None:
        """The response to the request that a worker had is complete."""
        self._busy, self.response = False, None
        if response is not None:
            self._late.append(response)
            self._finished = self.site.clock()
        self.write(data)
        self._look_whether_out()
        if keep_alive:
            self._go_on()
        elif not self.lost.is_set():
            self._close()

    def hand_over(self, data: bytes, successor: Successor, response: Response | None) -> None:
        """The client has been let in: from now on somebody else has the connection."""
        if self.lost.is_set():
            self.answered(b"", False, response)
        elif self._parser.requests or self._refusal is not None or self._parser.stage != IDLE:
            self._refusal = None
            self.answered(self.site.impatient(response), False, response)
        else:
            if response is not None:
                self._late.append(response)
            self.response = None
            self._owners.discard(self)
            if self._reading_paused:
                self.transport.resumeProducing()
            unsent = [*map(bytes, self._outgoing), data]
            self._outgoing.clear()
            self._wire = TransportWire(self._reactor, self.transport, unsent, successor)
            self._all_out()

    # Output, a piece at a time.

    @property
    def congested(self) -> bool:
        """Whether the client has yet to take what was written."""
        return self._paused or bool(self._outgoing)

    def write(self, data: bytes) -> None:
        if data and not self.lost.is_set() and not self._given_up:
            self._outgoing.append(memoryview(data))
            self._pump()

    def _look_whether_out(self) -> None:
        if not self._late:
            return
        if self.lost.is_set():
            self._all_out(gone=True)
        elif not self._outgoing and not self._paused:
            # TLS gathers small writes for one turn of the reactor, then hands them to the socket below.
            self._asked += 1
            self._reactor.callLater(0, self._reactor.callLater, 0, self._all_out_if_idle, self._asked)

    def _all_out_if_idle(self, asked: int, look: float = LOOK) -> None:
        """Whether the kernel has taken all: then the reactor no longer waits to write to the socket. It does not tell, so we ask again."""
        if asked != self._asked:
            return  # more has been written since: the one who asked last looks for all
        if self.lost.is_set():
            self._all_out(gone=True)
        elif self._late and not self._outgoing and not self._paused:
            waits = any(response.after or not response.closed for response in self._late)
            if waits and (self._lowest in self._reactor.getWriters() or unsent(getattr(self._lowest, "socket", None))):
                self._reactor.callLater(look, self._all_out_if_idle, asked, min(look * 1.5, LONGEST_LOOK))
            else:
                self._all_out()

    def _all_out(self, gone: bool = False) -> None:
        late, self._late = self._late, []
        for response in late:
            response.went_out(gone)

    def _pump(self) -> None:
        outgoing = self._outgoing
        while outgoing and not self._paused:
            data = outgoing.popleft()
            if len(data) > PIECE:
                outgoing.appendleft(data[PIECE:])
            self.since = self.site.clock()
            self.transport.write(bytes(data[:PIECE]))
        if not outgoing:
            self.room.set()
            if self.rendering is not None and not self._paused:
                self.rendering.resume()
            if self._closing:
                self._lose()
            elif self.stage == SENDING and not self._paused:
                self.stage = IDLE
                self._go_on()

    def pauseProducing(self) -> None:
        self._paused = True
        if self.rendering is not None:
            self.rendering.pause()

    def resumeProducing(self) -> None:
        self._paused = False
        self._pump()
        self._look_whether_out()

    def stopProducing(self) -> None:
        """`connectionLost` follows."""

    # The end.

    def _close(self) -> None:
        """Send what is left, then close."""
        self._closing = True
        self.stage, self.since = SENDING, self.site.clock()
        if not self._outgoing:
            self._lose()

    def _lose(self) -> None:
        self.stage, self.since = LINGERING, self.site.clock()
        if self._reading_paused:
            self._reading_paused = False
            self.transport.resumeProducing()
        self.transport.unregisterProducer()
        half_close = getattr(self.transport, "loseWriteConnection", None)
        if self._refusal is not None and half_close is not None and not ISSLTransport.providedBy(self.transport):
            half_close()  # the client may still send: read on, or closing resets the connection before it has read the answer
        else:
            self.transport.loseConnection()

    def aborted(self, response: Response | None) -> None:
        """The response to the request that a worker had cannot be completed."""
        if response is not None:
            response.went_out(gone=True)
        if response is not None and response.ends_visibly and not self.lost.is_set():
            self._close()  # a broken connection would take along the answers before it that have not arrived
        else:
            self.abort()

    def abort(self) -> None:
        """A broken connection, at once."""
        if not self.lost.is_set():  # TLS forgets what it needs for that
            self.transport.abortConnection()

    def give_up(self, response: Response, answer: bytes) -> None:
        """The application has this for too long: what it answers from now on goes nowhere."""
        if self.response is not response:
            return
        if response.begun or self._outgoing:
            self.abort()
        else:
            self.write(answer)
            self._given_up = True
            self._close()

    # Deadlines and drain.

    def overdue(self, now: float) -> bool:
        limits, waits = self.site.limits, now - self.since
        if self._paused:
            return waits > limits.write_timeout
        return self.stage != BUSY and waits > limits.seconds(self.stage)

    def expire(self, now: float) -> None:
        """Close if overdue, saying why if a request was begun (RFC 9110 section 15.5.9)."""
        if self._late and now - self._finished > WIRE_TIMEOUT:
            if any(response.after for response in self._late):
                log.warn("the client at {peer} has not read for {seconds:g} s: tasks start", peer=self.peer[0], seconds=WIRE_TIMEOUT)
            self._all_out()
        if not self.overdue(now):
            return
        if not self._closing and not self._paused and self._parser.stage in (HEAD, CONTENT):
            self._refusal = PeerError(408, "the request did not arrive in time")
            self._go_on()
        elif self._closing or self._paused:
            for response in self._late:
                response.slow = True
            self.abort()
        else:
            self._close()

    def drain(self, when: int = NOW) -> None:
        """Answer what has come, then close. If nothing has: `NOW`, or after the answer to what comes yet (`LAST`)."""
        before, self.leaving = self.leaving, max(self.leaving, when)
        if self.peer is not UNKNOWN:
            if before < when:
                self._go_on()
        elif self.site.clock() - self.since > FRESH:
            self._go_on()

    def cut(self) -> None:
        """Close now, whatever it waits for."""
        self.abort()


class Turn:
    """One request with a worker. A `Job` of the crew and an `Outlet` for the application; runs on the worker thread."""

    def __init__(self, connection: ReactorConnection, request: Request) -> None:
        self._connection, self._request = connection, request
        self._post = connection.mailbox.post
        self._ahead = 0
        self.since = connection.site.clock()
        self.stamp: Stamp = connection.site.stamp
        self.draining = Last(connection)
        self._response: Response | None = None

    @property
    def title(self) -> str:
        """What is being answered, for people (any thread)."""
        return f"{self._request.method} {self._request.target}"

    def give_up(self, response: Response, answer: bytes) -> None:
        """It takes too long (the reactor thread)."""
        self._connection.give_up(response, answer)

    def run(self, worker: Worker) -> None:
        self._connection.site.respond(self._request, self._connection.peer, self, worker)

    def stream(self, data: bytes) -> None:
        connection = self._connection
        self._ahead += len(data)
        if self._ahead > HIGH_WATER:
            # Lower the flag before posting: the reactor raises it when all that was posted is with the transport.
            connection.room.clear()
            self._post(connection.write, data)
            self._ahead = 0
            timeout, clock = connection.site.limits.write_timeout, connection.site.clock
            while not connection.room.wait(timeout):
                if clock() - connection.since > timeout:
                    if self._response is not None:
                        self._response.slow = True
                    self._post(connection.abort)
                    raise Disconnected("the client does not read")
        else:
            self._post(connection.write, data)
        if connection.lost.is_set():
            raise Disconnected("the client has gone")

    def finish(self, data: bytes, keep_alive: bool) -> bool:
        self._post(self._connection.answered, data, keep_alive, self._response)
        return True

    def send_file(self, data: bytes, file: int, offset: int, count: int) -> bool:
        return False

    def hand_over(self, data: bytes, successor: Successor) -> bool:
        self._post(self._connection.hand_over, data, successor, self._response)
        return True

    def abort(self) -> bool:
        self._post(self._connection.aborted, self._response)
        return True

    @property
    def response(self) -> Response | None:
        return self._response

    @response.setter
    def response(self, response: Response) -> None:
        self._response = self._connection.response = response
