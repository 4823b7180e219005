"""A connection of the fast lane, with real sockets, a lane and a worker moved by hand, and a clock that the test moves."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hand import PATIENCE, Answer, Client, Hand, StartResponse, answers, bodies, descriptors, echo, eventually, get

import hendrix.channel.fast_connection
from hendrix.channel.fast_connection import DRAIN_LINGER, HIGH_WATER, TURN
from hendrix.channel.site import FRESH, LINGER
from hendrix.wsgi.call import Application

Make = Callable[..., Hand]


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes a `Hand`; when the test is over, no descriptor must be left."""
    before = descriptors()
    hands: list[Hand] = []

    def build(*args: Any, **kwargs: Any) -> Hand:
        hands.append(Hand(*args, **kwargs))
        return hands[-1]

    yield build
    for hand in hands:
        hand.close()
    assert descriptors() == before


def one(client: Client) -> Answer:
    """The only response that has come."""
    (answer,) = answers(client.received())
    return answer


# Requests and answers.


def test_a_request_is_answered_and_the_connection_waits_for_the_next(make: Make) -> None:
    hand = make()
    client = hand.connect()
    for number in range(3):
        client.send(get(f"/{number}"))
        hand.go()
        answer = one(client)
        assert (answer.status, answer.body) == (200, f"GET /{number} ".encode())
        assert not answer.closes
    assert not client.ended


def test_pipelined_requests_are_answered_in_order_and_together(make: Make) -> None:
    hand = make()
    client = hand.connect()
    client.send(*(get(f"/{number}") for number in range(50)))
    hand.poll()
    assert client.received() == b"", "nothing is called before its turn"
    hand.run()
    assert bodies(client.received()) == [f"GET /{number} " for number in range(50)]


def test_a_request_in_pieces_is_answered_when_it_is_whole(make: Make) -> None:
    hand = make()
    client = hand.connect()
    for byte in get("/slow", method="POST", body=b"xyz"):
        assert client.received() == b""
        client.send(bytes([byte]))
        hand.go()
    assert one(client).body == b"POST /slow xyz"


def test_requests_that_are_cut_anywhere_are_answered_in_order(make: Make) -> None:
    hand = make()
    client = hand.connect()
    stream = b"".join(get(f"/{number}", method="POST", body=b"x" * number) for number in range(20))
    got = b""
    for start in range(0, len(stream), 37):
        client.send(stream[start : start + 37])
        hand.go()
        got += client.received()
    assert bodies(got) == [f"POST /{number} {'x' * number}" for number in range(20)]


def test_one_connection_does_not_hold_the_worker_for_longer_than_a_turn(make: Make) -> None:
    """A client with a hundred requests ready, each of a quarter of a turn: others have their turn after five."""

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        hand.clock.now += TURN / 4
        return echo(environ, start_response)

    hand = make(app)
    greedy, modest = hand.connect(), hand.connect()
    greedy.send(*(get(f"/{number}") for number in range(100)))
    hand.poll()
    modest.send(get("/modest"))
    hand.poll()
    hand.run()
    assert one(modest).body == b"GET /modest "
    first = bodies(greedy.received())
    assert 2 <= len(first) <= 10
    hand.go()
    assert first + bodies(greedy.received()) == [f"GET /{number} " for number in range(100)]


def test_what_cannot_be_parsed_is_refused_after_the_answers_before_it(make: Make) -> None:
    hand = make()
    client = hand.connect()
    client.send(get("/1"), get("/2"), b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", get("/never"))
    hand.go()
    assert [(answer.status, answer.closes) for answer in answers(client.rest())] == [(200, False), (200, False), (400, True)]
    client.socket.close()
    hand.go()
    assert not hand.owners


def test_when_the_backlog_is_full_the_answer_is_503_at_once(make: Make) -> None:
    hand = make(backlog=1)
    first, client = hand.connect(), hand.connect()
    first.send(get("/0"))
    hand.poll()
    client.send(get("/1"), get("/2"))
    hand.poll()
    assert len(hand.turns.ready) == 1
    (answer,) = answers(client.rest())
    assert (answer.status, answer.headers["retry-after"], answer.closes) == (503, "1", True)


def test_a_refusal_needs_no_place_in_the_backlog(make: Make) -> None:
    hand = make(backlog=0)
    client = hand.connect()
    client.send(b"nonsense\r\n\r\n")
    hand.go()
    assert answers(client.rest())[0].status == 400


def test_connection_close_is_obeyed_in_both_directions(make: Make) -> None:
    hand = make()
    client = hand.connect()
    client.send(get("/", "Connection: close"), get("/never"))
    hand.go()
    (answer,) = answers(client.rest())
    assert answer.closes
    client.socket.close()
    hand.go()
    assert not hand.owners

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Connection", "close"), ("Content-Length", "2")])
        return [b"ok"]

    hand = make(app)
    client = hand.connect()
    client.send(get(), get("/never"))
    hand.go()
    assert len(answers(client.rest())) == 1


def test_without_keepalive_each_connection_has_one_answer(make: Make) -> None:
    hand = make(keepalive=0)
    client = hand.connect()
    client.send(get("/1"), get("/2"))
    hand.go()
    (answer,) = answers(client.rest())
    assert answer.closes


def test_a_client_that_closes_its_half_has_its_answers(make: Make) -> None:
    hand = make()
    client = hand.connect()
    client.send(get("/1"), get("/2"))
    client.socket.shutdown(socket.SHUT_WR)
    hand.go()
    assert bodies(client.rest()) == ["GET /1 ", "GET /2 "]
    assert not hand.owners


@pytest.mark.parametrize("data", [b"", b"GET / HT", get(method="POST", body=b"abc")[:-1]])
def test_a_client_that_leaves_costs_nothing(make: Make, data: bytes) -> None:
    hand = make()
    client = hand.connect()
    client.send(data)
    hand.go()
    client.socket.close()
    hand.go()
    assert not hand.owners


def test_continue_is_sent_when_the_content_is_wanted(make: Make) -> None:
    hand = make()
    client = hand.connect()
    request = get("/", "Expect: 100-continue", method="PUT", body=b"12345")
    client.send(get("/before"), request[:-5])
    hand.go()
    before, interim = answers(client.received())
    assert (before.status, interim.status) == (200, 100)
    client.send(request[-5:])
    hand.go()
    assert one(client).body == b"PUT / 12345"


def test_continue_waits_for_room(make: Make) -> None:
    """The client has not read what was sent before, and there is no room for another byte."""
    hand = make(send_buffer=16384)
    client = hand.connect()
    before = b""
    with contextlib.suppress(BlockingIOError):
        while True:
            before += b"x" * client.connection._socket.send(b"x", socket.MSG_DONTWAIT)
    request = get("/", "Expect: 100-continue", method="PUT", body=b"12345")
    client.send(request[:-5])
    hand.go()
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    assert read_all(hand, client, lambda data: data.endswith(interim)) == before + interim
    client.send(request[-5:])
    hand.go()
    assert one(client).body == b"PUT / 12345"


# Applications that fail.


def failing(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/raise":
        raise ValueError("on purpose")
    return echo(environ, start_response)


def test_an_application_that_raises_is_a_500_in_its_place(make: Make) -> None:
    hand = make(failing)
    client = hand.connect()
    client.send(get("/1"), get("/raise"), get("/2"))
    hand.go()
    assert [(answer.status, answer.closes) for answer in answers(client.received())] == [(200, False), (500, False), (200, False)]


def broken(client: Client) -> bytes:
    """All that comes before the server breaks the connection."""
    data = b""
    try:
        while piece := client.socket.recv(1 << 20):
            data += piece
    except ConnectionResetError:
        return data
    raise AssertionError(f"closed, not broken, after {data[-100:]!r}")


def test_an_application_that_raises_in_the_middle_breaks_the_connection(make: Make) -> None:
    closed: list[bool] = []

    class Breaks:
        def __iter__(self) -> Iterator[bytes]:
            yield b"first"
            raise ValueError("on purpose")

        def close(self) -> None:
            closed.append(True)

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return Breaks()

    hand = make(app)
    client = hand.connect()
    client.send(get("/1"), get("/2"))
    hand.go()
    assert client.rest().endswith(b"first\r\n")
    assert closed == [True]
    client.socket.close()
    hand.go()
    assert not hand.owners


def test_what_no_framing_shows_to_be_incomplete_ends_with_a_reset(make: Make) -> None:
    """RFC 9112 section 8: for HTTP/1.0 the end of the connection is the end of the content."""

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield b"first"
        raise ValueError("on purpose")

    hand = make(app)
    client = hand.connect()
    client.send(get(version="1.0"))
    hand.go()
    assert broken(client).endswith(b"\r\n\r\nfirst")
    assert not hand.owners


def test_answers_before_a_break_arrive(make: Make) -> None:
    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/large":
            return large(1_000_000, 1)(environ, start_response)
        if environ["PATH_INFO"] != "/break":
            return echo(environ, start_response)
        start_response("200 OK", [("Content-Length", "10")])
        return iter([b"short"])

    hand = make(app, send_buffer=16384)
    client = hand.connect()
    client.send(get("/large"), get("/2"), get("/break"), get("/never"))
    data = read_all(hand, client, lambda data: client.ended)
    whole = data[: data.rindex(b"HTTP/1.1 200")]
    assert [len(answer.body) for answer in answers(whole)] == [1_000_000, len("GET /2 ")]
    assert data.endswith(b"short")


# Slow readers.


def large(size: int, pieces: int) -> Application:
    """So many bytes in so many pieces; without pieces, all in one list."""

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", str(size))])
        if pieces == 1:
            return [b"x" * size]
        return (b"x" * (size // pieces) for _ in range(pieces))

    return app


def read_all(hand: Hand, client: Client, complete: Callable[[bytes], bool]) -> bytes:
    data = b""
    for _ in range(100_000):
        hand.go()
        data += client.received()
        if complete(data):
            return data
    raise AssertionError(f"only {len(data)} bytes came")


def test_a_short_write_is_continued_when_there_is_room(make: Make) -> None:
    size = 1_000_000
    hand = make(large(size, 1), send_buffer=16384)
    client = hand.connect()
    client.send(get("/1"), get("/2"))
    hand.go()
    assert client.connection._unsent
    data = read_all(hand, client, lambda data: data.count(b"HTTP/1.1") == 2 and data.endswith(b"x" * size))
    assert [len(answer.body) for answer in answers(data)] == [size, size]
    client.send(get("/3"))
    assert len(read_all(hand, client, lambda data: len(data) > size)) > size


def test_nothing_is_read_from_a_client_that_does_not_read(make: Make) -> None:
    hand = make(large(1_000_000, 1), send_buffer=16384)
    client = hand.connect()
    client.send(get())
    hand.go()
    client.send(get("/next"))
    hand.go()
    assert not client.connection._parser.requests  # type: ignore[union-attr]
    assert not hand.turns.ready


def test_answers_to_pipelined_requests_are_not_heaped_up(make: Make) -> None:
    """The next of them is not even asked for before the client has read the ones before."""
    calls: list[str] = []
    size = HIGH_WATER // 2

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        calls.append(environ["PATH_INFO"])
        return large(size, 1)(environ, start_response)

    hand = make(app, send_buffer=16384)
    client = hand.connect()
    client.send(*(get(f"/{number}") for number in range(40)))
    hand.go()
    assert len(calls) * size <= 2 * HIGH_WATER
    data = read_all(hand, client, lambda data: data.count(b"HTTP/1.1") == 40 and data.endswith(b"x" * size))
    assert [len(answer.body) for answer in answers(data)] == [size] * 40
    assert calls == [f"/{number}" for number in range(40)]


class Run(threading.Thread):
    """Takes the turns that are ready, on a thread of its own."""

    def __init__(self, hand: Hand) -> None:
        super().__init__(daemon=True)
        self._hand = hand
        self.start()

    def run(self) -> None:
        self._hand.run()


def test_a_stream_waits_for_a_client_that_does_not_read(make: Make) -> None:
    made: list[int] = []
    piece = 65536

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        for number in range(200):
            made.append(number)
            yield b"x" * piece

    hand = make(app, send_buffer=16384)
    client = hand.connect()
    client.send(get())
    hand.poll()
    thread = Run(hand)
    eventually(lambda: client.connection._size > HIGH_WATER)
    assert len(made) * piece < 3 * HIGH_WATER, "what it holds is bounded"
    data = b""
    while thread.is_alive():
        data += client.received()
        thread.join(0.001)
    data += read_all(hand, client, lambda data: data.endswith(b"\r\n0\r\n\r\n"))
    (answer,) = answers(data)
    assert answer.body == b"x" * 200 * piece


def test_a_client_that_does_not_read_a_stream_is_cut_after_the_write_timeout(make: Make) -> None:
    closed = threading.Event()

    class Endless:
        def __iter__(self) -> Iterator[bytes]:
            while True:
                yield b"x" * 65536

        def close(self) -> None:
            closed.set()

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return Endless()

    hand = make(app, send_buffer=16384, write_timeout=0.05)
    client = hand.connect()
    client.send(get())
    hand.poll()
    thread = Run(hand)
    assert closed.wait(PATIENCE)
    thread.join(PATIENCE)
    assert not hand.owners
    assert not client.rest().endswith(b"0\r\n\r\n")


def test_a_client_that_does_not_read_an_answer_is_cut_after_the_write_timeout(make: Make) -> None:
    hand = make(large(1_000_000, 1), send_buffer=16384, write_timeout=10)
    client = hand.connect()
    client.send(get())
    hand.go()
    for _ in range(3):  # it reads a little, now and then
        hand.pass_time(9)
        before = client.connection._size
        while client.connection._size == before:
            assert client.received()
            hand.go()
        assert hand.owners
    hand.pass_time(9)
    assert hand.owners
    hand.pass_time(2)
    assert not hand.owners


def test_the_drain_does_not_put_off_the_write_timeout(make: Make) -> None:
    hand = make(large(1_000_000, 1), send_buffer=16384, write_timeout=10)
    client = hand.connect()
    client.send(get())
    hand.go()
    for _ in range(12):
        client.connection.drain()
        hand.pass_time(1)
    assert not hand.owners


def test_a_client_that_leaves_while_it_is_sent_to_costs_nothing(make: Make) -> None:
    hand = make(large(1_000_000, 1), send_buffer=16384)
    client = hand.connect()
    client.send(get())
    hand.go()
    client.socket.close()
    hand.go()
    assert not hand.owners


def test_a_stream_to_a_client_that_has_left_ends_and_is_closed(make: Make) -> None:
    closed: list[bool] = []
    made: list[int] = []

    class Stream:
        def __iter__(self) -> Iterator[bytes]:
            for number in range(10_000):
                made.append(number)
                yield b"x" * 1000

        def close(self) -> None:
            closed.append(True)

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return Stream()

    hand = make(app)
    client = hand.connect()
    client.send(get())
    hand.poll()
    client.socket.close()
    hand.run()
    assert closed == [True]
    assert len(made) < 10
    assert not hand.owners


# Files.


def file_app(path: Path) -> Application:
    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](path.open("rb"))
        return wrapped

    return app


def test_a_file_is_sent_by_the_kernel(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = os.urandom(1_000_000)
    path = tmp_path / "file"
    path.write_bytes(content)
    calls: list[int] = []
    sendfile = os.sendfile

    def counted(out: int, source: int, offset: int, count: int) -> int:
        calls.append(count)
        return sendfile(out, source, offset, count)

    monkeypatch.setattr(os, "sendfile", counted)
    hand = make(file_app(path), send_buffer=16384)
    client = hand.connect()
    client.send(get("/1"), get("/2"))
    hand.go()
    data = read_all(hand, client, lambda data: data.endswith(content) and data.count(b"HTTP/1.1 200 OK\r\n") == 2)
    assert [answer.body for answer in answers(data)] == [content, content]
    assert sum(calls) and max(calls) <= 1 << 20


def test_a_file_that_becomes_shorter_breaks_the_connection(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1_000_000)
    hand = make(file_app(path), send_buffer=16384)
    client = hand.connect()
    client.send(get())
    hand.go()
    os.truncate(path, 1000)
    data = b""
    while hand.owners:
        hand.go()
        data += client.received()
    assert len(data) < 1_000_000


def test_a_file_for_a_client_that_leaves_is_closed(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1_000_000)
    hand = make(file_app(path), send_buffer=16384)
    client = hand.connect()
    client.send(get())
    hand.go()
    assert any(fd.endswith(f" {path}") for fd in descriptors())
    client.socket.close()
    hand.go()
    assert not any(fd.endswith(f" {path}") for fd in descriptors())


# Deadlines.


def refused(client: Client, status: int) -> None:
    (answer,) = answers(client.rest())
    assert (answer.status, answer.closes) == (status, True)


def test_a_client_that_says_nothing_is_closed_in_silence(make: Make) -> None:
    hand = make(header_timeout=10)
    client = hand.connect()
    hand.pass_time(10)
    assert not client.ended
    hand.pass_time(1)
    assert client.rest() == b""
    assert not hand.owners


def test_a_head_has_one_deadline_however_it_trickles(make: Make) -> None:
    hand = make(header_timeout=10)
    client = hand.connect()
    client.send(get("/first"))
    hand.go()
    client.received()
    hand.pass_time(60)
    for byte in b"GET / HTTP/1":
        client.send(bytes([byte]))
        hand.go()
        hand.pass_time(0.9)
    refused(client, 408)


def test_content_has_a_deadline_for_each_piece(make: Make) -> None:
    hand = make(body_timeout=10)
    client = hand.connect()
    request = get(method="POST", body=b"12345")
    client.send(request[:-5])
    for byte in b"1234":
        hand.go()
        hand.pass_time(9)
        client.send(bytes([byte]))
    hand.go()
    hand.pass_time(9)
    assert client.received() == b""
    hand.pass_time(2)
    refused(client, 408)


def test_an_idle_connection_is_closed_in_silence(make: Make) -> None:
    hand = make(keepalive=10)
    client = hand.connect()
    client.send(get())
    hand.go()
    client.received()
    hand.pass_time(9)
    client.send(get())
    hand.go()
    client.received()
    hand.pass_time(9)
    assert not client.ended
    hand.pass_time(2)
    assert client.rest() == b""
    assert not hand.owners


def test_a_request_with_a_worker_has_what_time_it_takes(make: Make) -> None:
    hand = make(header_timeout=10, keepalive=10, body_timeout=10, write_timeout=10)
    client = hand.connect()
    client.send(get())
    hand.poll()
    hand.pass_time(1000)
    hand.run()
    assert one(client).status == 200
    assert not client.ended


def test_the_answers_before_a_408_are_sent(make: Make) -> None:
    hand = make(header_timeout=10)
    client = hand.connect()
    client.send(get("/1"), b"GET /2")
    hand.go()
    hand.pass_time(11)
    assert [answer.status for answer in answers(client.rest())] == [200, 408]


# The end of a connection.


def test_a_refused_client_that_still_sends_has_its_answer(make: Make) -> None:
    """RFC 9112 section 9.6: closed with input unread, the connection would be reset, and the answer lost."""
    hand = make(max_body=1000)
    client = hand.connect()
    client.send(get(method="POST", body=b"x" * 1001)[:-1001])
    hand.go()
    client.send(b"x" * 1001)
    refused(client, 413)
    hand.go()
    assert hand.owners, "it lingers"
    client.socket.close()
    hand.go()
    assert not hand.owners


def test_it_does_not_linger_for_ever(make: Make) -> None:
    hand = make()
    client = hand.connect()
    client.send(b"nonsense\r\n\r\n")
    hand.go()
    hand.pass_time(LINGER - 0.1)
    assert hand.owners
    hand.pass_time(0.2)
    assert not hand.owners


def test_a_client_that_never_stops_sending_is_closed_too(make: Make) -> None:
    """It is hardly ever seen waiting, since there is always something to discard."""
    hand = make()
    client = hand.connect()
    client.send(b"nonsense\r\n\r\n")
    hand.go()
    hand.clock.now += LINGER + 1
    client.send(b"x" * 1000)
    hand.go()
    assert not hand.owners


def test_a_closed_connection_has_let_go_of_its_content(make: Make) -> None:
    hand = make()
    client = hand.connect()
    body = b"x" * 600_000  # goes to a file
    request = get(method="POST", body=body)
    before = descriptors()
    threading.Thread(target=client.send, args=(request[:-1],), daemon=True).start()
    eventually(lambda: (hand.go(), len(descriptors() - before) > 0)[1])  # type: ignore[func-returns-value]
    client.connection.cut()
    eventually(lambda: not descriptors() - before)


# Drain.


def test_an_idle_connection_is_closed_at_once(make: Make) -> None:
    hand = make()
    silent, idle = hand.connect(), hand.connect()
    hand.pass_time(FRESH + 0.1)
    idle.send(get())
    hand.go()
    idle.received()
    for client in (silent, idle):
        client.connection.drain()
        assert client.rest() == b""
    assert not hand.owners


def test_the_request_of_a_client_that_has_just_connected_may_be_on_its_way(make: Make) -> None:
    hand = make()
    quick, silent = hand.connect(), hand.connect()
    for client in (quick, silent):
        client.connection.drain()
    quick.send(get("/new"))
    hand.go()
    (answer,) = answers(quick.rest())
    assert (answer.body, answer.closes) == (b"GET /new ", True)
    assert not silent.ended
    hand.pass_time(FRESH + 0.1)
    silent.connection.drain()
    assert silent.rest() == b""
    assert silent.connection not in hand.owners


def test_a_request_in_flight_is_answered_with_connection_close(make: Make) -> None:
    hand = make()
    client = hand.connect()
    client.send(get("/last"))
    hand.poll()
    client.connection.drain()
    hand.run()
    (answer,) = answers(client.rest())
    assert (answer.body, answer.closes) == (b"GET /last ", True)


def test_a_drain_that_begins_inside_the_application_is_seen(make: Make) -> None:
    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        client.connection.drain()
        return echo(environ, start_response)

    hand = make(app)
    client = hand.connect()
    client.send(get("/last"))
    hand.go()
    assert answers(client.rest())[0].closes


def test_all_that_has_come_is_answered_and_only_the_last_says_close(make: Make) -> None:
    hand = make()
    client = hand.connect()
    client.send(get("/1"), get("/2"), get("/3"))
    hand.poll()
    client.connection.drain()
    hand.go()
    assert [(answer.body, answer.closes) for answer in answers(client.rest())] == [
        (b"GET /1 ", False),
        (b"GET /2 ", False),
        (b"GET /3 ", True),
    ]


def test_what_has_come_unread_is_read_and_answered(make: Make) -> None:
    hand = make()
    client = hand.connect()
    client.send(get("/unread"))
    client.connection.drain()
    hand.go()
    (answer,) = answers(client.rest())
    assert answer.closes


def test_half_a_request_is_waited_for(make: Make) -> None:
    hand = make()
    client = hand.connect()
    request = get("/half")
    client.send(request[:10])
    hand.go()
    client.connection.drain()
    assert not client.ended
    client.send(request[10:])
    hand.go()
    (answer,) = answers(client.rest())
    assert (answer.body, answer.closes) == (b"GET /half ", True)


def test_what_was_answered_without_close_is_closed_when_it_is_sent(make: Make) -> None:
    """The drain comes between the head and the last byte."""

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield b"first"
        client.connection.drain()
        yield b"last"

    hand = make(app)
    client = hand.connect()
    client.send(get())
    hand.go()
    (answer,) = answers(client.rest())
    assert (answer.body, answer.closes) == (b"firstlast", False)
    assert not hand.owners


def test_a_drained_client_that_does_not_close_is_not_waited_for_long(make: Make) -> None:
    hand = make()
    client = hand.connect()
    client.send(get())
    hand.poll()
    client.connection.drain()
    hand.go()
    client.rest()
    client.connection.drain()
    assert hand.owners
    hand.clock.now += DRAIN_LINGER + 0.1
    hand.lane.tick()
    client.connection.drain()
    assert not hand.owners


def test_a_slow_reader_has_its_answer_before_it_is_closed(make: Make) -> None:
    size = 1_000_000
    hand = make(large(size, 1), send_buffer=16384)
    client = hand.connect()
    client.send(get())
    hand.go()
    data = b""
    while not data.endswith(b"x" * size):
        client.connection.drain()
        hand.go()
        data += client.received()
    client.connection.drain()
    hand.go()
    assert client.ended


# Cut.


def test_a_cut_connection_is_broken_whatever_it_waits_for(make: Make) -> None:
    hand = make(large(20_000_000, 1))
    waiting, sending = hand.connect(), hand.connect()
    waiting.send(b"GET")
    sending.send(get())
    hand.go()
    for client in (waiting, sending):
        client.connection.cut()
        assert len(broken(client)) < 20_000_000
    assert not hand.owners


def test_what_is_cut_while_a_worker_has_it_is_closed_by_the_worker(make: Make) -> None:
    hand = make()
    client = hand.connect()
    client.send(get())
    hand.poll()
    client.connection.cut()
    assert hand.owners, "it belongs to the worker"
    hand.go()
    assert not hand.owners


def test_a_stream_that_is_cut_while_it_waits_for_its_client_ends(make: Make) -> None:
    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        while True:
            yield b"x" * 65536

    hand = make(app, send_buffer=16384)
    client = hand.connect()
    client.send(get())
    hand.poll()
    thread = Run(hand)
    eventually(lambda: client.connection._size > HIGH_WATER)
    client.connection.cut()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert not hand.owners


# Whatever happens, the worker lives on.


def test_a_bug_in_the_parser_costs_one_connection(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    hand = make()
    client, other = hand.connect(), hand.connect()
    monkeypatch.setattr(hendrix.channel.fast_connection.FastConnection, "_queue", lambda self, parser: 1 / 0)
    client.send(get())
    hand.poll()
    monkeypatch.undo()
    assert client.connection not in hand.owners
    other.send(get())
    hand.go()
    assert one(other).status == 200
