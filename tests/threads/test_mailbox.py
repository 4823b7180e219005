"""Posts are delivered in order, with one wake-up for a batch; what raises is logged."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from twisted.logger import ILogObserver, globalLogPublisher

from hendrix.threads.mailbox import Mailbox

PATIENCE = 30.0


class Reactor:
    """The queue of ``callFromThread``."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], object]] = []

    def turn(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()


def test_many_posts_take_one_wake_up_and_keep_their_order() -> None:
    reactor, got = Reactor(), list[int]()
    mailbox = Mailbox(reactor.calls.append)
    for number in range(10):
        mailbox.post(got.append, number)
    assert len(reactor.calls) == 1
    reactor.turn()
    assert got == list(range(10))
    assert reactor.calls == []


def test_a_post_after_delivery_wakes_again() -> None:
    reactor, got = Reactor(), list[int]()
    mailbox = Mailbox(lambda call: reactor.calls.append(call))
    for number in range(3):
        mailbox.post(got.append, number)
        reactor.turn()
    assert got == [0, 1, 2]


def test_a_call_that_posts_does_not_hold_the_reactor() -> None:
    reactor, got = Reactor(), list[int]()
    mailbox = Mailbox(lambda call: reactor.calls.append(call))

    def again(number: int) -> None:
        got.append(number)
        mailbox.post(again, number + 1)

    mailbox.post(again, 0)
    for turn in range(1, 4):
        reactor.turn()
        assert len(got) == turn


def test_what_raises_is_logged_and_the_next_is_called() -> None:
    reactor, got = Reactor(), list[int]()
    mailbox = Mailbox(reactor.calls.append)
    mailbox.post(lambda: 1 / 0)
    mailbox.post(got.append, 1)
    failures: list[object] = []
    observer: ILogObserver = lambda event: failures.append(event.get("log_failure"))  # type: ignore[assignment] # noqa: E731
    globalLogPublisher.addObserver(observer)
    try:
        reactor.turn()
    finally:
        globalLogPublisher.removeObserver(observer)
    assert got == [1]
    assert len(failures) == 1


def test_real_threads_lose_nothing() -> None:
    """Four threads post, one delivers; each thread's posts come in its order."""
    calls: SimpleQueue[Callable[[], object]] = SimpleQueue()
    mailbox = Mailbox(calls.put)
    got: list[tuple[int, int]] = []
    each = 2000

    def post(poster: int) -> None:
        for number in range(each):
            mailbox.post(got.append, (poster, number))

    posters = [threading.Thread(target=post, args=(poster,)) for poster in range(4)]
    for poster in posters:
        poster.start()
    while len(got) < 4 * each:
        calls.get(timeout=PATIENCE)()
    for poster in posters:
        poster.join(PATIENCE)
    for poster_number in range(4):
        assert [number for who, number in got if who == poster_number] == list(range(each))
