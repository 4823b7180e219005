"""The fast lane above a real epoll, and its acceptor."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from hand import PATIENCE, Clock, descriptors, eventually
from twisted.internet.task import Clock as Timers

from hendrix.channel.fast import INPUT, READ, UNKNOWN, WRITE, Acceptor, FastLane

MOST = 64


class Holder:
    """Notes what it is told."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket, self.fd = sock, sock.fileno()
        self.calls: list[str] = []
        self.fails = ""
        self.told = threading.Semaphore(0)

    def ready(self, event: int = UNKNOWN) -> None:
        self.event = event
        self._note("ready")

    def arm(self) -> None:
        self._note("arm")

    def fail(self) -> None:
        self._note("fail")

    def _note(self, call: str) -> None:
        self.calls.append(call)
        self.told.release()
        if call in self.fails:
            raise ValueError(call)


@pytest.fixture
def lane() -> Iterator[FastLane]:
    before = descriptors()
    lane = FastLane(Clock())
    yield lane
    lane.close()
    assert descriptors() == before


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


Pair = tuple[socket.socket, socket.socket]


def test_an_event_is_given_once_until_it_is_armed_again(lane: FastLane, pair: Pair) -> None:
    holder = Holder(pair[0])
    lane.arm_first(holder, holder.fd, READ)
    lane.poll(0, MOST)
    assert holder.calls == []
    pair[1].send(b"x")
    for _ in range(3):
        lane.poll(0, MOST)
    assert holder.calls == ["ready"]
    lane.arm(holder, holder.fd, READ)
    lane.poll(0, MOST)
    assert holder.calls == ["ready", "ready"], "the byte is still there"
    lane.arm(holder, holder.fd, WRITE)
    lane.poll(0, MOST)
    assert len(holder.calls) == 3


def test_who_waits_hears_of_what_comes_and_not_of_what_is_there(lane: FastLane, pair: Pair) -> None:
    holder = Holder(pair[0])
    lane.arm_first(holder, holder.fd, READ)
    for count in (1, 2):
        pair[1].send(b"x")
        lane.poll(0, MOST)
        assert holder.calls == ["ready"] * count
        assert holder.event == INPUT
        lane.wait(holder, holder.fd)
        lane.poll(0, MOST)
        assert len(holder.calls) == count
    pair[1].send(b"x")
    pair[1].shutdown(socket.SHUT_WR)
    lane.poll(0, MOST)
    assert holder.event not in (INPUT, UNKNOWN), "it tells of the end, too"


def test_what_comes_to_nobody_is_told_to_who_waits_next(lane: FastLane, pair: Pair) -> None:
    holder = Holder(pair[0])
    lane.arm_first(holder, holder.fd, READ)
    pair[1].send(b"x")
    lane.poll(0, MOST)
    pair[1].send(b"x")
    lane.poll(0, MOST)
    assert holder.calls == ["ready"]
    lane.wait(holder, holder.fd)
    lane.poll(-1, MOST)
    assert holder.calls == ["ready", "ready"]
    assert holder.event == UNKNOWN
    assert not lane._missed


def test_no_more_than_asked_for_is_taken(lane: FastLane) -> None:
    pairs = [socket.socketpair() for _ in range(3)]
    holders = [Holder(ours) for ours, _ in pairs]
    for holder, (_, theirs) in zip(holders, pairs):
        lane.arm_first(holder, holder.fd, READ)
        theirs.send(b"x")
    for count in (1, 2, 3):
        lane.poll(0, 1)
        assert sum(len(holder.calls) for holder in holders) == count
    for ours, theirs in pairs:
        ours.close()
        theirs.close()


def test_who_is_claimed_hears_of_no_event(lane: FastLane, pair: Pair) -> None:
    holder = Holder(pair[0])
    lane.arm_first(holder, holder.fd, READ)
    assert lane.claim(holder, holder.fd)
    assert not lane.claim(holder, holder.fd)
    pair[1].send(b"x")
    lane.poll(0, MOST)
    assert holder.calls == []


def test_another_that_has_the_number_by_now_cannot_be_claimed(lane: FastLane, pair: Pair) -> None:
    holder, former = Holder(pair[0]), Holder(pair[0])
    lane.arm_first(holder, holder.fd, READ)
    assert not lane.claim(former, holder.fd)
    assert lane.claim(holder, holder.fd)


def test_what_is_forgotten_brings_no_event_though_a_fork_holds_it_open(lane: FastLane, pair: Pair) -> None:
    holder = Holder(pair[0])
    inherited = pair[0].dup()
    lane.arm_first(holder, holder.fd, READ)
    assert lane.claim(holder, holder.fd)
    lane.forget(holder.fd)
    pair[0].close()
    pair[1].send(b"x")
    lane.poll(0, MOST)
    assert not lane._missed
    inherited.close()


def test_who_raises_is_told_to_close_and_the_others_are_served(lane: FastLane) -> None:
    pairs = [socket.socketpair() for _ in range(3)]
    holders = [Holder(ours) for ours, _ in pairs]
    holders[0].fails = "ready"
    holders[1].fails = "ready fail"
    for holder, (_, theirs) in zip(holders, pairs):
        lane.arm_first(holder, holder.fd, READ)
        theirs.send(b"x")
    lane.poll(0, MOST)
    assert [holder.calls for holder in holders] == [["ready", "fail"], ["ready", "fail"], ["ready"]]
    for ours, theirs in pairs:
        ours.close()
        theirs.close()


def test_a_ring_ends_a_poll_and_is_heard_once(lane: FastLane) -> None:
    threads = [threading.Thread(target=lane.poll, args=(-1, MOST), daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        lane.wake()
    eventually(lambda: not all(thread.is_alive() for thread in threads))
    while any(thread.is_alive() for thread in threads):
        lane.wake()
        for thread in threads:
            thread.join(0.01)
    lane.poll(0, MOST)
    lane.poll(0, MOST)
    assert lane._poller.poll(0) == []


def test_a_bell_that_rings_already_takes_another_ring(lane: FastLane) -> None:
    os.eventfd_write(lane._bell, 2**64 - 2)
    lane.wake()
    lane.poll(-1, MOST)


def test_a_ring_when_all_is_closed_does_no_harm() -> None:
    """Of a thread that was left behind: the number of the bell may be another's by now."""
    lane = FastLane(Clock())
    bell = lane._bell
    lane.close()
    reading, writing = os.pipe()
    os.dup2(writing, bell)
    lane.wake()
    os.set_blocking(reading, False)
    with pytest.raises(BlockingIOError):
        os.read(reading, 8)
    for fd in {reading, writing, bell}:
        os.close(fd)


def test_its_clock_is_that_of_the_last_look(lane: FastLane) -> None:
    clock = lane._clock
    assert isinstance(clock, Clock)
    clock.now = 2000.0
    assert lane.now == 1000.0
    assert lane.tick() == lane.now == 2000.0
    clock.now = 3000.0
    lane.poll(0, MOST)
    assert lane.now == 3000.0


# The acceptor.


class Door:
    """An `Acceptor` on a real port, and who has come in."""

    def __init__(self, lane: FastLane) -> None:
        self.lane, self.timers = lane, Timers()
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.listening.setblocking(False)
        self.address = self.listening.getsockname()
        self.inside: list[socket.socket] = []
        self.clients: list[socket.socket] = []
        self.acceptor = Acceptor(lane, self.listening, self._come_in, self.timers.callLater)
        self.acceptor.start()

    def _come_in(self, connection: socket.socket, address: object) -> None:
        self.inside.append(connection)

    def knock(self, times: int = 1) -> None:
        for _ in range(times):
            self.clients.append(socket.create_connection(self.address, timeout=PATIENCE))

    def close(self) -> None:
        if not self.acceptor.closed:
            self.acceptor.stop()
        for end in (*self.inside, *self.clients):
            end.close()


@pytest.fixture
def door(lane: FastLane) -> Iterator[Door]:
    door = Door(lane)
    yield door
    door.close()


def test_clients_come_in(door: Door) -> None:
    for count in (1, 2, 3):
        door.knock()
        door.lane.poll(-1, MOST)
        assert len(door.inside) == count
    assert not os.get_inheritable(door.inside[0].fileno())


def test_many_clients_do_not_hold_the_worker(door: Door) -> None:
    door.knock(Acceptor.AT_ONCE + 10)
    door.lane.poll(-1, MOST)
    assert len(door.inside) == Acceptor.AT_ONCE
    door.lane.poll(-1, MOST)
    assert len(door.inside) == Acceptor.AT_ONCE + 10


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS])
def test_without_descriptors_it_tries_again_later(door: Door, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    class Exhausted:
        def accept(self) -> None:
            raise OSError(code, os.strerror(code))

    real = door.acceptor._socket
    door.knock()
    monkeypatch.setattr(door.acceptor, "_socket", Exhausted())
    for _ in range(3):
        door.lane.poll(0, MOST)
    assert len(door.timers.getDelayedCalls()) == 1, "it does not spin"
    monkeypatch.setattr(door.acceptor, "_socket", real)
    door.timers.advance(Acceptor.PAUSE)
    door.lane.poll(-1, MOST)
    assert len(door.inside) == 1


def test_a_client_that_has_left_before_it_was_accepted_is_no_error(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    class Aborted:
        def accept(self) -> None:
            raise ConnectionAbortedError

    real = door.acceptor._socket
    door.knock()
    monkeypatch.setattr(door.acceptor, "_socket", Aborted())
    door.lane.poll(-1, MOST)
    monkeypatch.setattr(door.acceptor, "_socket", real)
    assert not door.timers.getDelayedCalls()
    door.lane.poll(-1, MOST)
    assert len(door.inside) == 1


def test_stopped_it_accepts_what_has_come_and_closes(door: Door) -> None:
    count = Acceptor.AT_ONCE + 10
    door.knock(count)
    door.acceptor.stop()
    assert door.acceptor.closed
    assert len(door.inside) == count
    with pytest.raises(ConnectionRefusedError):
        door.knock()


def test_stopped_while_a_worker_accepts_the_worker_closes(door: Door) -> None:
    come_in: Callable[[socket.socket, object], None] = door.acceptor._connected

    def stop_meanwhile(connection: socket.socket, address: object) -> None:
        door.acceptor.stop()
        assert not door.acceptor.closed
        come_in(connection, address)

    door.acceptor._connected = stop_meanwhile
    door.knock(3)
    door.lane.poll(-1, MOST)
    assert door.acceptor.closed
    assert len(door.inside) == 3


def test_stopped_while_it_waits_for_descriptors_it_closes_when_it_has_waited(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    class Exhausted:
        def accept(self) -> None:
            raise OSError(errno.EMFILE, "too many")

        def close(self) -> None:
            door.listening.close()

    door.knock()
    monkeypatch.setattr(door.acceptor, "_socket", Exhausted())
    door.lane.poll(-1, MOST)
    door.acceptor.stop()
    assert not door.acceptor.closed
    door.timers.advance(Acceptor.PAUSE)
    assert door.acceptor.closed


def test_what_raises_while_it_accepts_does_not_end_it(door: Door) -> None:
    come_in = door.acceptor._connected

    def fail(connection: socket.socket, address: object) -> None:
        connection.close()
        raise ValueError("on purpose")

    door.acceptor._connected = fail
    door.knock(2)
    door.lane.poll(-1, MOST)
    door.acceptor._connected = come_in
    door.lane.poll(-1, MOST)
    assert len(door.inside) == 1
