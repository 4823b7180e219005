"""The reactor lane: a connection above a transport of strings, a crew and a mailbox moved by hand, and Twisted's clock."""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hand import PATIENCE, Answer, StartResponse, answers, bodies, echo, eventually, get
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from hendrix.channel.fast_connection import HIGH_WATER
from hendrix.channel.reactor_lane import PIECE, PIPELINED, ReactorConnection
from hendrix.channel.site import FRESH, LINGER, Limits, Site
from hendrix.crosstown.dispatcher import Dispatcher
from hendrix.threads.mailbox import Mailbox
from hendrix.threads.worker import Job, Worker
from hendrix.wire.response import Stamp
from hendrix.wsgi.call import Application
from hendrix.wsgi.environ import base_environ


class Transport(StringTransport):
    """A transport with room for so many bytes, above which it asks its producer to pause, as those of Twisted do.

    :ivar halved: our half is closed.
    """

    def __init__(self, room: int = 1 << 30) -> None:
        super().__init__()
        self._room = room
        self._unread = 0
        self.halved = False
        self.pieces: list[int] = []

    def write(self, data: bytes) -> None:
        super().write(data)
        self.pieces.append(len(data))
        self._unread += len(data)
        if self._unread > self._room and self.producer is not None:
            self.producer.pauseProducing()

    def read(self) -> bytes:
        """The client takes what there is."""
        data: bytes = self.value()
        self.clear()
        self._unread = 0
        if self.producer is not None:
            self.producer.resumeProducing()
        return data

    def loseWriteConnection(self) -> None:
        self.halved = True


@implementer(ISSLTransport)
class TLS(Transport):  # type: ignore[misc]
    """As one with TLS."""

    def getPeerCertificate(self) -> None:
        return None


class Reactor(Clock):
    def getWriters(self) -> list[object]:
        return []


class Turns:
    """A crew of none: the test runs the jobs."""

    def __init__(self) -> None:
        self.ready: deque[Job] = deque()
        self.backlog = 0

    def submit(self, job: Job) -> None:
        self.ready.append(job)


class Lane:
    """One connection, and what it needs."""

    def __init__(self, application: Application = echo, transport: Transport | None = None, **limits: Any) -> None:
        self.reactor = Reactor()
        self.calls: list[Callable[[], object]] = []
        self.turns = Turns()
        self.transport = transport or Transport()
        base = base_environ("localhost", "443", "http", multiprocess=False)
        dispatcher = Dispatcher(self.turns, 1)
        site = Site(application, base, Limits(**limits), Stamp("hendrix"), dispatcher, clock=self.reactor.seconds)
        self.owners: set[ReactorConnection] = set()
        mailbox = Mailbox(self.calls.append)
        self.connection = ReactorConnection(site, self.turns, mailbox, self.owners, self.reactor)  # type: ignore[arg-type]
        self.connection.makeConnection(self.transport)

    def receive(self, *data: bytes) -> None:
        self.connection.dataReceived(b"".join(data))

    def run(self) -> None:
        """One job."""
        contextvars.copy_context().run(self.turns.ready.popleft().run, Worker("hand", self.reactor.seconds))

    def deliver(self) -> None:
        """What was posted."""
        calls, self.calls[:] = self.calls[:], []
        for call in calls:
            call()
        self.reactor.advance(0)

    def go(self) -> None:
        """Until there is nothing to do."""
        while self.turns.ready or self.calls:
            if self.turns.ready:
                self.run()
            self.deliver()

    def pass_time(self, seconds: float) -> None:
        self.reactor.advance(seconds)
        self.connection.expire(self.reactor.seconds())

    def lose(self, reason: type[Exception] = ConnectionDone) -> None:
        self.connection.connectionLost(Failure(reason()))

    def answers(self) -> list[Answer]:
        return answers(self.transport.value())

    def closing(self) -> bool:
        return bool(self.transport.disconnecting) and not self.transport.disconnected

    def aborted(self) -> bool:
        return bool(self.transport.disconnected)


# Requests and answers.


def test_a_request_is_answered_and_the_connection_lives_on() -> None:
    lane = Lane()
    for number in range(3):
        lane.receive(get(f"/{number}"))
        assert len(lane.turns.ready) == 1
        lane.go()
    assert bodies(lane.transport.value()) == ["GET /0 ", "GET /1 ", "GET /2 "]
    assert not lane.transport.disconnecting


def test_pipelined_requests_are_called_one_after_another() -> None:
    lane = Lane()
    lane.receive(*(get(f"/{number}") for number in range(5)))
    for number in range(5):
        assert len(lane.turns.ready) == 1
        lane.run()
        assert len(lane.answers()) == number, "nothing is written by the worker"
        lane.deliver()
    assert bodies(lane.transport.value()) == [f"GET /{number} " for number in range(5)]


def test_a_client_that_asks_for_much_is_not_read_for_a_while() -> None:
    lane = Lane()
    lane.receive(*(get(f"/{number}") for number in range(PIPELINED - 1)))
    assert lane.transport.producerState == "producing"
    lane.receive(get("/a"), get("/b"))
    assert lane.transport.producerState == "paused"
    lane.go()
    assert lane.transport.producerState == "producing"
    assert len(lane.answers()) == PIPELINED + 1


def test_what_cannot_be_parsed_is_refused_after_the_answers_before_it() -> None:
    lane = Lane()
    lane.receive(get("/1"), b"nonsense\r\n\r\n")
    lane.go()
    assert [(answer.status, answer.closes) for answer in lane.answers()] == [(200, False), (400, True)]
    assert lane.transport.halved and not lane.transport.disconnecting, "the client may still send"
    lane.receive(b"more")
    lane.pass_time(LINGER + 0.1)
    assert lane.aborted()


def test_tls_has_no_half_to_close() -> None:
    lane = Lane(transport=TLS())
    lane.receive(b"nonsense\r\n\r\n")
    assert not lane.transport.halved and lane.closing()


def test_the_scheme_is_that_of_the_transport() -> None:
    seen: list[str] = []

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        seen.append(environ["wsgi.url_scheme"])
        return echo(environ, start_response)

    for transport in (Transport(), TLS()):
        lane = Lane(app, transport)
        lane.receive(get())
        lane.go()
    assert seen == ["http", "https"]


def test_the_peer_is_known_to_the_application() -> None:
    seen: list[tuple[str, str]] = []

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        seen.append((environ["REMOTE_ADDR"], environ["REMOTE_PORT"]))
        return echo(environ, start_response)

    lane = Lane(app)
    lane.receive(get())
    lane.go()
    assert seen == [("192.168.1.1", "54321")]


def test_when_the_backlog_is_full_the_answer_is_503_at_once() -> None:
    lane = Lane()
    lane.turns.backlog = 10**6
    lane.receive(get("/1"), get("/2"))
    (answer,) = lane.answers()
    assert (answer.status, answer.headers["retry-after"], answer.closes) == (503, "1", True)
    assert not lane.turns.ready


def test_connection_close_is_obeyed() -> None:
    lane = Lane()
    lane.receive(get("/", "Connection: close"), get("/never"))
    lane.go()
    assert len(lane.answers()) == 1
    assert lane.closing()
    assert lane.transport.producer is None


def test_continue_is_sent_when_the_content_is_wanted() -> None:
    lane = Lane()
    request = get("/", "Expect: 100-continue", method="PUT", body=b"12345")
    lane.receive(get("/before"), request[:-5])
    assert lane.transport.value() == b""
    lane.go()
    assert [answer.status for answer in lane.answers()] == [200, 100]
    lane.receive(request[-5:])
    lane.go()
    assert lane.answers()[-1].body == b"PUT / 12345"


def test_a_client_that_closes_its_half_has_its_answers() -> None:
    lane = Lane()
    lane.receive(get("/1"), get("/2"))
    lane.connection.readConnectionLost()
    lane.go()
    assert bodies(lane.transport.value()) == ["GET /1 ", "GET /2 "]
    assert lane.closing()


def test_a_client_that_closes_its_half_and_waits_for_nothing_is_closed() -> None:
    lane = Lane()
    lane.receive(get("/1"))
    lane.go()
    lane.connection.readConnectionLost()
    assert lane.closing()


def test_an_application_that_raises_in_the_middle_breaks_the_connection() -> None:
    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield b"first"
        raise ValueError("on purpose")

    lane = Lane(app)
    lane.receive(get("/1"), get("/2"))
    lane.go()
    assert lane.transport.value().endswith(b"first\r\n")
    assert lane.closing(), "by the framing the client can tell; a reset would take along what has not arrived"
    lane.lose(ConnectionLost)
    assert not lane.owners


def test_what_no_framing_shows_to_be_incomplete_is_aborted() -> None:
    """RFC 9112 section 8: for HTTP/1.0 the end of the connection is the end of the content."""

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield b"first"
        raise ValueError("on purpose")

    lane = Lane(app)
    lane.receive(get(version="1.0"))
    lane.go()
    assert lane.aborted()


# A client that leaves.


def test_a_lost_connection_lets_go_of_everything() -> None:
    lane = Lane()
    lane.receive(get("/1"), get("/2", method="POST", body=b"x" * 10), get("/3", method="POST", body=b"y" * 600_000)[:-1])
    content = lane.connection._parser.requests[0].content
    lane.lose()
    assert not lane.owners
    assert content is not None and content.closed  # type: ignore[attr-defined]
    lane.go()
    assert lane.transport.value() == b"", "nothing is written to a connection that is lost"


def test_an_answer_that_comes_too_late_is_dropped() -> None:
    for path in ("/", "/close"):
        lane = Lane()
        lane.receive(get(path, *(["Connection: close"] if path == "/close" else [])))
        lane.run()
        lane.lose(ConnectionLost)
        lane.deliver()
        assert lane.transport.value() == b""
        assert not lane.transport.disconnecting


def test_a_stream_to_a_client_that_has_left_ends() -> None:
    made: list[int] = []

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        for number in range(1000):
            made.append(number)
            if number == 3:
                lane.lose(ConnectionLost)
            yield b"x"

    lane = Lane(app)
    lane.receive(get())
    lane.go()
    assert len(made) == 4


# Slow readers.


def large(size: int) -> Application:
    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", str(size))])
        return [b"x" * size]

    return app


def test_a_large_answer_is_written_in_pieces_as_the_client_reads() -> None:
    size = 20 * PIECE
    lane = Lane(large(size), Transport(room=PIECE))
    lane.receive(get())
    lane.go()
    data = b""
    rounds = 0
    while not data.endswith(b"x" * size):
        rounds += 1
        assert len(lane.transport.value()) <= 2 * PIECE
        data += lane.transport.read()
    assert rounds > 5
    assert len(answers(data)[0].body) == size
    assert max(lane.transport.pieces) <= PIECE


def test_answers_to_pipelined_requests_are_not_heaped_up() -> None:
    """The next is not even asked for before the client has read the one before."""
    calls: list[str] = []
    size = 4 * PIECE

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        calls.append(environ["PATH_INFO"])
        return large(size)(environ, start_response)

    lane = Lane(app, Transport(room=PIECE))
    lane.receive(*(get(f"/{number}") for number in range(10)))
    lane.go()
    assert calls == ["/0"]
    data = b""
    while data.count(b"HTTP/1.1") < 10 or not data.endswith(b"x" * size):
        data += lane.transport.read()
        lane.go()
    assert [len(answer.body) for answer in answers(data)] == [size] * 10
    assert calls == [f"/{number}" for number in range(10)]


def test_a_client_that_does_not_read_is_cut_after_the_write_timeout() -> None:
    lane = Lane(large(20 * PIECE), Transport(room=PIECE), write_timeout=10)
    lane.receive(get())
    lane.go()
    for _ in range(4):
        lane.pass_time(9)
        assert not lane.aborted()
        lane.transport.read()
    lane.pass_time(9)
    assert not lane.aborted()
    lane.pass_time(2)
    assert lane.aborted()


class Run(threading.Thread):
    """Runs the job on a thread of its own, as a worker does."""

    def __init__(self, lane: Lane) -> None:
        super().__init__(daemon=True)
        self._job = lane.turns.ready.popleft()
        self._lane = lane
        self.start()

    def run(self) -> None:
        self._job.run(Worker("hand", self._lane.reactor.seconds))


def streaming(pieces: int, made: list[int]) -> Application:
    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        for number in range(pieces):
            made.append(number)
            yield b"x" * PIECE

    return app


def test_a_stream_waits_for_a_client_that_does_not_read() -> None:
    made: list[int] = []
    lane = Lane(streaming(100, made), Transport(room=PIECE))
    lane.receive(get())
    thread = Run(lane)
    eventually(lambda: len(made) * PIECE >= HIGH_WATER)
    thread.join(0.05)
    assert thread.is_alive()
    assert len(made) * PIECE < 3 * HIGH_WATER
    data = b""
    while thread.is_alive():
        lane.deliver()
        data += lane.transport.read()
        thread.join(0.001)
    while not data.endswith(b"0\r\n\r\n"):
        lane.deliver()
        data += lane.transport.read()
    assert answers(data)[0].body == b"x" * 100 * PIECE


def test_a_stream_ends_when_its_client_is_cut() -> None:
    made: list[int] = []
    lane = Lane(streaming(10_000, made), Transport(room=PIECE))
    lane.receive(get())
    thread = Run(lane)
    eventually(lambda: len(made) * PIECE >= HIGH_WATER)
    lane.connection.cut()
    assert lane.aborted()
    lane.lose(ConnectionLost)
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert len(made) < 10_000


def test_a_stream_whose_client_makes_progress_is_not_cut() -> None:
    """It takes longer than the write timeout to read what the application was ahead, but never that long for a piece."""
    made: list[int] = []
    lane = Lane(streaming(20, made), Transport(room=PIECE), write_timeout=0.05)
    lane.receive(get())
    thread = Run(lane)
    data = b""
    while thread.is_alive():
        lane.deliver()
        data += lane.transport.read()
        thread.join(0.02)
        lane.reactor.advance(0.02)
        lane.connection.since = lane.reactor.seconds()
    lane.deliver()
    while not data.endswith(b"0\r\n\r\n"):
        data += lane.transport.read()
        lane.deliver()
    assert len(made) == 20


# Deadlines.


def test_a_client_that_says_nothing_is_closed_in_silence() -> None:
    lane = Lane(header_timeout=10)
    lane.pass_time(10)
    assert not lane.closing()
    lane.pass_time(1)
    assert lane.closing()
    assert lane.transport.value() == b""


def test_a_head_has_one_deadline_however_it_trickles() -> None:
    lane = Lane(header_timeout=10)
    lane.receive(get())
    lane.go()
    lane.transport.clear()
    lane.pass_time(60)
    for byte in b"GET / HTTP/1":
        lane.receive(bytes([byte]))
        lane.pass_time(0.9)
    assert [answer.status for answer in lane.answers()] == [408]
    assert lane.transport.halved


def test_content_has_a_deadline_for_each_piece() -> None:
    lane = Lane(body_timeout=10)
    request = get(method="POST", body=b"12345")
    lane.receive(request[:-5])
    for byte in b"1234":
        lane.pass_time(9)
        lane.receive(bytes([byte]))
    lane.pass_time(9)
    assert lane.transport.value() == b""
    lane.pass_time(2)
    assert lane.answers()[0].status == 408


def test_an_idle_connection_is_closed_in_silence() -> None:
    lane = Lane(keepalive=10)
    lane.receive(get())
    lane.go()
    lane.transport.clear()
    lane.pass_time(9)
    assert not lane.closing()
    lane.pass_time(2)
    assert lane.closing()
    assert lane.transport.value() == b""


def test_a_request_with_a_worker_has_what_time_it_takes() -> None:
    lane = Lane(header_timeout=10, keepalive=10, body_timeout=10, write_timeout=10)
    lane.receive(get())
    lane.pass_time(1000)
    lane.go()
    assert len(lane.answers()) == 1
    assert not lane.closing()


def test_a_client_that_does_not_close_is_aborted() -> None:
    lane = Lane()
    lane.receive(get("/", "Connection: close"))
    lane.go()
    lane.pass_time(LINGER - 0.1)
    assert not lane.aborted()
    lane.pass_time(0.2)
    assert lane.aborted()


def test_the_next_head_has_its_whole_time_when_the_answer_before_has_been_read() -> None:
    lane = Lane(large(4 * PIECE), Transport(room=PIECE), header_timeout=10, write_timeout=60)
    lane.receive(get("/1"), b"GET /2 HTT")
    lane.go()
    lane.pass_time(30)
    data = b""
    while not data.endswith(b"x" * 4 * PIECE):
        data += lane.transport.read()
    lane.pass_time(9)
    assert lane.transport.value() == b""
    lane.pass_time(2)
    assert lane.answers()[0].status == 408


# Drain.


def test_an_idle_connection_is_closed_at_once() -> None:
    silent, idle = Lane(), Lane()
    silent.pass_time(FRESH + 0.1)
    idle.receive(get())
    idle.go()
    for lane in (silent, idle):
        lane.connection.drain()
        assert lane.closing()


def test_the_request_of_a_client_that_has_just_connected_may_be_on_its_way() -> None:
    quick, silent = Lane(), Lane()
    for lane in (quick, silent):
        lane.connection.drain()
        assert not lane.closing()
    quick.receive(get())
    quick.go()
    assert quick.answers()[0].closes and quick.closing()
    silent.pass_time(FRESH / 2)
    silent.connection.drain()
    assert not silent.closing()
    silent.pass_time(FRESH)
    silent.connection.drain()
    assert silent.closing()


def test_a_request_in_flight_is_answered_with_connection_close() -> None:
    lane = Lane()
    lane.receive(get())
    lane.connection.drain()
    assert not lane.closing()
    lane.go()
    assert lane.answers()[0].closes
    assert lane.closing()


def test_a_drain_that_begins_inside_the_application_is_seen() -> None:
    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        lane.connection.drain()
        return echo(environ, start_response)

    lane = Lane(app)
    lane.receive(get())
    lane.go()
    assert lane.answers()[0].closes


def test_all_that_has_come_is_answered_and_only_the_last_says_close() -> None:
    lane = Lane()
    lane.receive(get("/1"), get("/2"), get("/3"))
    lane.connection.drain()
    lane.go()
    assert [(answer.body, answer.closes) for answer in lane.answers()] == [
        (b"GET /1 ", False),
        (b"GET /2 ", False),
        (b"GET /3 ", True),
    ]
    assert lane.closing()


def test_half_a_request_is_waited_for() -> None:
    lane = Lane()
    request = get("/half")
    lane.receive(request[:10])
    lane.connection.drain()
    assert not lane.closing()
    lane.receive(request[10:])
    lane.go()
    assert lane.answers()[0].closes


def test_a_slow_reader_has_its_answer_and_is_closed_then() -> None:
    size = 4 * PIECE
    lane = Lane(large(size), Transport(room=PIECE))
    lane.receive(get())
    lane.go()
    lane.connection.drain()
    data = b""
    while not data.endswith(b"x" * size):
        assert lane.closing() == (not lane.connection._outgoing)
        data += lane.transport.read()
        lane.connection.drain()
    assert lane.closing() and not lane.aborted()


def test_cut_is_a_broken_connection() -> None:
    lane = Lane()
    lane.receive(get())
    lane.connection.cut()
    assert lane.aborted()


@pytest.mark.parametrize("size", [1, PIECE, PIECE + 1, 10 * PIECE])
def test_answers_of_any_size_are_whole(size: int) -> None:
    lane = Lane(large(size))
    lane.receive(get(), get())
    lane.go()
    assert [len(answer.body) for answer in lane.answers()] == [size, size]
