"""The watch asks whether the kernel has sent what it has taken, again and again, and forgets nobody."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from hand import eventually, tcp_pair

from hendrix.channel.sent import Watch, unsent

PATIENCE = 30.0


class Waiting:
    """A connection with one response."""

    title = "GET /"

    def __init__(self) -> None:
        self.open, self.left = True, False
        self.gone: bool | None = None
        self.over = threading.Event()

    def went_out(self, gone: bool = False) -> None:
        self.gone = gone
        self.over.set()


@pytest.fixture
def full() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection whose client has no room for what it was sent."""
    ours, theirs = tcp_pair()
    with ours, theirs:
        fill(ours)
        yield ours, theirs


def fill(sock: socket.socket) -> None:
    sock.setblocking(False)
    try:
        while True:
            sock.send(b"x" * 65536)
    except BlockingIOError:
        pass


def test_it_tells_when_the_kernel_has_sent_all(full: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = full
    watch, one = Watch(), Waiting()
    watch.add(one, ours, [one], time.monotonic() + PATIENCE)
    assert watch.watches(one)
    while unsent(ours):
        assert not one.over.is_set()
        theirs.recv(1 << 16)
    assert one.over.wait(PATIENCE) and one.gone is False
    eventually(lambda: not watch._runs)
    assert not watch.watches(one)


def test_it_waits_no_longer_than_it_is_told(full: tuple[socket.socket, socket.socket]) -> None:
    watch, one, other = Watch(), Waiting(), Waiting()
    watch.add(other, full[0], [other], time.monotonic() + PATIENCE)
    watch.add(one, full[0], [one], time.monotonic() + 0.01)
    assert one.over.wait(PATIENCE) and unsent(full[0])
    assert not other.over.is_set()
    other.open = False


@pytest.mark.parametrize("left", [False, True])
def test_a_connection_that_is_closed_says_who_did_it(full: tuple[socket.socket, socket.socket], left: bool) -> None:
    watch, one = Watch(), Waiting()
    watch.add(one, full[0], [one], time.monotonic() + PATIENCE)
    one.left = left
    one.open = False
    assert one.over.wait(PATIENCE) and one.gone is left


def test_what_the_client_has_no_room_for_is_unsent() -> None:
    ours, theirs = tcp_pair()
    with ours, theirs:
        assert not unsent(ours)
        fill(ours)
        assert unsent(ours)
        while unsent(ours):
            theirs.recv(1 << 20)
    assert not unsent(ours), "closed"
    assert not unsent(None)


def test_a_unix_socket_hands_over_as_it_takes() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.send(b"x")
        assert not unsent(ours)
