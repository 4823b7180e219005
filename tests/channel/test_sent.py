"""The watch asks whether the kernel has sent what it has taken, again and again, and forgets nobody."""

from __future__ import annotations

import socket
import threading

from hand import eventually, tcp_pair

from hendrix.channel.sent import Watch, unsent

PATIENCE = 30.0


class Waiting:
    """To be asked so many times; is added again the first time it is asked, as by a worker with the next response."""

    def __init__(self, times: int, watch: Watch | None = None) -> None:
        self._times, self._watch = times, watch
        self.asked = 0
        self.over = threading.Event()

    def look_whether_sent(self) -> bool:
        self.asked += 1
        if self.asked >= self._times:
            self.over.set()
        if self._watch is not None:
            watch, self._watch = self._watch, None
            watch.add(self)
            return True
        return self.over.is_set()


def test_it_asks_until_it_is_told_not_to() -> None:
    watch = Watch()
    one, other = Waiting(3), Waiting(5)
    watch.add(one)
    watch.add(other)
    assert one.over.wait(PATIENCE) and other.over.wait(PATIENCE)
    eventually(lambda: not watch._runs)
    assert (one.asked, other.asked) == (3, 5)
    again = Waiting(1)
    watch.add(again)
    assert again.over.wait(PATIENCE)


def test_one_that_is_added_while_it_is_asked_is_asked_again() -> None:
    watch = Watch()
    one = Waiting(2, watch)
    watch.add(one)
    assert one.over.wait(PATIENCE)


def test_what_the_client_has_no_room_for_is_unsent() -> None:
    ours, theirs = tcp_pair()
    with ours, theirs:
        assert not unsent(ours)
        ours.setblocking(False)
        try:
            while True:
                ours.send(b"x" * 65536)
        except BlockingIOError:
            pass
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
