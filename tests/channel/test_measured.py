"""What the site says of each answer to who measures: how long its request waited, how long the application took, what went in and out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hand import Hand
from test_reactor_lane import Lane

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"


class Notes:
    """A `Measure` that keeps what it hears."""

    def __init__(self) -> None:
        self.served_: list[tuple[Any, ...]] = []
        self.refused_: list[tuple[str, str]] = []

    def served(self, environ: dict[str, Any], *about: Any) -> None:
        self.served_.append((environ["PATH_INFO"], *about))

    def refused(self, method: str, code: str) -> None:
        self.refused_.append((method, code))


def slow(clock: Any) -> Any:
    """An application that takes three seconds."""

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        clock(3.0)
        start_response("201 Created", [])
        return [b"12345"]

    return application


@pytest.fixture
def notes() -> Notes:
    return Notes()


def test_on_the_fast_lane(notes: Notes) -> None:
    hand = Hand()
    try:
        hand.site.measure = notes
        hand.site.application = slow(lambda seconds: setattr(hand.clock, "now", hand.clock.now + seconds))
        client = hand.connect()
        hand.pass_time(5)  # idle: nobody waits
        client.send(GET)
        hand.poll()
        hand.clock.now += 2
        hand.run()
        hand.pass_time(20)
        client.send(POST, GET)
        hand.go()
        first, second, third = notes.served_
        assert first == ("/a", "GET", "201", 0, 5, pytest.approx(2), pytest.approx(3))
        assert second == ("/b", "POST", "201", 7, 5, pytest.approx(0), pytest.approx(3))
        assert third == ("/a", "GET", "201", 0, 5, pytest.approx(3), pytest.approx(3)), "it waited for the one before"
        client.send(b"GET / HTTP/9.9\r\n\r\n")
        hand.go()
        assert notes.refused_ == [("GET", "505")] and len(notes.served_) == 3
    finally:
        hand.close()


def test_on_the_reactor_lane(notes: Notes) -> None:
    lane = Lane()
    site = lane.connection.site
    site.measure, site.application = notes, slow(lane.reactor.advance)
    lane.pass_time(5)
    lane.receive(POST)
    lane.reactor.advance(2)
    lane.go()
    lane.receive(b"nonsense\r\n\r\n")
    lane.go()
    assert notes.served_ == [("/b", "POST", "201", 7, 5, pytest.approx(2), pytest.approx(3))]
    assert notes.refused_ == [("", "400")]


def test_who_finds_the_line_too_long_is_refused_and_not_served(notes: Notes) -> None:
    hand = Hand(backlog=1)
    try:
        hand.site.measure = notes
        clients = [hand.connect() for _ in range(2)]
        for client in clients:
            client.send(GET)
        hand.go()
        assert notes.refused_ == [("GET", "503")] and len(notes.served_) == 1
    finally:
        hand.close()
