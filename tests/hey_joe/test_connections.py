"""The connections of a process, stepped by hand: the drain and its pace, handlers in order, and what is shared."""

from __future__ import annotations

from collections import deque

import pytest
from twisted.internet.task import Clock
from wsproto.frame_protocol import FrameProtocol

from hendrix.hey_joe import connections
from hendrix.hey_joe.connection import Connection, Terms
from hendrix.hey_joe.connections import Connections
from hendrix.hey_joe.websocket import WebSocket
from hendrix.wire.websocket import Handshake


class Reactor(Clock):
    def callFromThread(self, function, *arguments):
        self.callLater(0, function, *arguments)


class Crew:
    def __init__(self):
        self.jobs = deque()

    def submit(self, job):
        self.jobs.append(job)

    enqueue = submit

    def step(self):
        self.jobs.popleft().run(Worker())


class Worker:
    def __init__(self):
        self.held = []

    def hold(self, parcel):
        self.held.append(parcel)

    def dispatch(self):
        for parcel in self.held:
            parcel.send()
        self.held.clear()


class Wire:
    """Takes all, or so much."""

    def __init__(self, room=1 << 30):
        self.sent, self.pending, self.since, self.room = b"", 0, 0.0, room
        self.paused = self.lost = self.aborted = False

    def write(self, data):
        taken = min(self.room, len(data))
        self.sent += data[:taken]
        self.room -= taken
        self.pending += len(data) - taken

    def pause(self):
        self.paused = True

    def resume(self):
        self.paused = False

    def lose(self):
        self.lost = True

    def abort(self):
        self.aborted = True


class House:
    def __init__(self, **options):
        self.reactor, self.crew = Reactor(), Crew()
        self.house = Connections(self.reactor, lambda: self.crew, lambda: None, **options)
        self.house.startService()

    def open(self, room=1 << 30, **terms):
        ws = WebSocket(self.house, Terms(**terms), "/path", None, None, {}, None, asked=Handshake("", (), 0, ""))
        ws.opened(Wire(room))
        return ws

    def step(self):
        """All that is to be done now."""
        while self.crew.jobs or any(call.getTime() <= self.reactor.seconds() for call in self.reactor.getDelayedCalls()):
            while self.crew.jobs:
                worker = Worker()
                self.crew.jobs.popleft().run(worker)
                worker.dispatch()
            self.reactor.advance(0)


@pytest.fixture
def house():
    house = House()
    yield house
    connections.current = None
    house.house._sweep.stop()


def frames(*messages):
    client = FrameProtocol(True, [])
    return b"".join(bytes(client.send_data(message)) for message in messages)


def said(ws):
    """What has been sent to it."""
    client = FrameProtocol(True, [])
    client.receive_bytes(ws._wire.sent)
    ws._wire.sent = b""
    return [frame.payload for frame in client.received_frames()]


def test_handlers_in_order_and_one_at_a_time(house):
    happened = []
    ws = house.open(
        on_open=lambda ws: happened.append("open"),
        on_message=lambda ws, message: happened.append(message),
        on_close=lambda ws, code: happened.append(code),
    )
    ws.received(frames("one", b"two"))
    assert len(house.crew.jobs) == 1, "it stands in line once"
    ws.lost()
    house.step()
    assert happened == ["open", "one", b"two", 1006], "what a client has sent before it went is handled"
    assert house.house.open == {}


def test_what_a_handler_sends_goes_out_before_the_close_that_it_asks_for(house):
    def bye(ws, message):
        ws.send("last words")
        ws.close(4000, "bye")
        assert not ws.send("too late")

    ws = house.open(on_message=bye)
    ws.received(frames("hello"))
    house.step()
    assert said(ws) == ["last words", (4000, "bye")]


def test_after_a_handler_that_raised_no_other_runs_but_the_last(house):
    happened = []

    def fail(ws, message):
        happened.append(message)
        raise ValueError

    ws = house.open(on_message=fail, on_close=lambda ws, code: happened.append(code))
    ws.received(frames("one", "two"))
    house.step()
    assert said(ws) == [(1011, "the server failed")]
    ws.lost()
    house.step()
    assert happened == ["one", 1011]


def test_what_a_handler_sends_goes_out_before_the_failure_of_what_came_after(house):
    ws = house.open(on_message=lambda ws, message: ws.send(message))
    ws.received(frames("hello") + b"\xff\xff")
    house.step()
    assert said(ws)[0] == "hello"
    assert ws.closed == 1002
    assert ws._wire.lost


def test_a_queue_that_is_full_stops_the_reading_until_it_is_worked_off(house):
    got = []
    ws = house.open(on_message=lambda ws, message: got.append(message))
    ws.received(frames(*map(str, range(100))))
    assert ws._wire.paused
    assert len(ws.queue) == 16
    house.step()
    assert got == [str(number) for number in range(100)]
    assert not ws._wire.paused


def test_a_client_that_takes_nothing_is_not_read(house):
    ws = house.open(room=0, on_message=lambda ws, message: ws.send(message))
    ws.received(frames("x" * 70_000))
    house.step()
    assert ws._wire.paused
    ws._wire.pending = 0
    ws.room()
    assert not ws._wire.paused


def test_who_sends_from_elsewhere_to_a_client_that_is_too_slow_has_it_cut(house):
    ws = house.open(room=0)
    assert ws.send(b"x" * (1 << 20))
    house.step()
    assert not ws.send(b"x")
    house.step()
    assert ws._said == 4008
    ws.look(ws._closing + 6)
    assert (ws.closed, ws._wire.aborted) == (4008, True)


def test_decoders_are_shared_by_those_who_are_idle(house):
    made = {id(house.house.decoder(False, 1 << 20))}
    sockets = [house.open(on_message=lambda ws, message: None) for _ in range(10)]
    for ws in sockets:
        ws.received(frames("hello"))
        assert ws._decoder is None
    half = frames("hello")[:4]
    for ws in sockets:
        ws.received(half)
        assert ws._decoder is not None
    assert len({id(ws._decoder) for ws in sockets}) == 10, "who is in the middle of a message has one alone"
    assert made


@pytest.mark.parametrize(("count", "spread", "expected"), [(1000, 5.0, 5.0), (100, 5.0, 0.5), (2000, 1.0, 1.0), (50, 0.0, 0.02)])
def test_the_drain_is_spread_over_time(count, spread, expected):
    house = House(spread=spread, grace=60)
    sockets = [house.open() for _ in range(count)]
    closed_at = {}
    done = house.house.stopService()
    while len(closed_at) < count:
        for ws in sockets:
            if ws._closing and ws not in closed_at:
                closed_at[ws] = house.reactor.seconds()
                ws.received(b"\x88\x82\0\0\0\0\x03\xf4")
        house.reactor.advance(0.02)
        assert house.reactor.seconds() < 10
    last = max(closed_at.values())
    assert expected * 0.8 - 0.05 <= last <= expected * 1.2 + 0.05
    half = sum(at <= last / 2 for at in closed_at.values())
    assert count <= 50 or 0.3 * count < half < 0.7 * count, "evenly"
    house.reactor.advance(0.1)
    assert done.called
    assert connections.current is None


def test_who_comes_while_it_drains_is_told_at_once(house):
    house.house.draining = True
    ws = house.open()
    assert said(ws) == [(1012, "the server restarts")]


def test_a_connection_is_no_larger_than_it_must_be(house):
    ws = house.open()
    assert not hasattr(ws, "__dict__")
    assert ws.queue is None
    assert isinstance(ws, Connection)


def test_a_handler_that_is_done_before_the_reading_has_stopped_does_not_leave_it_stopped(house, monkeypatch):
    """The worker takes all between the two steps of the reactor: it sees that there is too much, it stops to read."""
    ws = house.open(on_message=lambda ws, message: None)
    look = WebSocket.full

    def look_and_be_overtaken(ws):
        full = look(ws)
        while house.crew.jobs and full:
            house.crew.step()
        return full

    monkeypatch.setattr(WebSocket, "full", look_and_be_overtaken)
    ws.received(frames(*map(str, range(16))))
    house.step()
    assert not ws._stopped
    assert not ws._wire.paused


def test_a_client_that_answers_is_there_and_one_that_does_not_is_gone(house):
    ws = house.open(heartbeat=25)
    start = ws._heard
    ws.look(start + 24)
    assert ws._wire.sent == b""
    ws.look(start + 200)
    assert said(ws) == [b""], "it is asked first, however late we look"
    ws.look(start + 220)
    assert said(ws) == []
    ws.received(b"\x8a\x80\0\0\0\0")
    ws._heard = start + 221
    ws.look(start + 240)
    assert said(ws) == []
    ws.look(start + 247)
    assert said(ws) == [b""]
    ws.look(start + 271)
    assert ws.closed is None
    ws.look(start + 273)
    assert (ws.closed, ws._wire.aborted) == (1006, True)


def test_a_client_without_messages_is_idle_whatever_it_answers(house):
    ws = house.open(idle_timeout=60, heartbeat=0)
    ws.received(b"\x8a\x80\0\0\0\0")
    ws.look(ws._spoke + 59)
    assert said(ws) == []
    ws.look(ws._spoke + 61)
    assert said(ws) == [(1000, "idle")]
