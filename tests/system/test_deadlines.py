"""Clients that keep the site waiting for a head, for content, for the next request have their time and no more, and hold up nobody."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pressure import PATIENCE, PLACES, Ended, Wire, connect, endpoints, eventually, everywhere, get, post, state

from certificates import Certificate
from harness import Site

HEADER, BODY, KEEPALIVE = 1.5, 2.0, 2.5
# Seconds by which the sweep may be late, on a machine that is busy.
LATE = 20.0
IDLE = 2000
# Bytes for each idle connection, in this process; those of the kernel are not counted.
WEIGHT = 8 << 10


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Site]:
    listen = endpoints(tmp_path_factory.mktemp("deadlines"), certificate)
    arguments = (f"--header-timeout={HEADER}", f"--body-timeout={BODY}", f"--keepalive={KEEPALIVE}", "--threads=2")
    with Site("pressing:app", *arguments, listen=listen) as site:
        yield site


class Since:
    """How long something took."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def about(self, seconds: float) -> bool:
        return 0.95 * seconds < time.monotonic() - self._began < seconds + LATE


def refused(wire: Wire) -> None:
    """The next answer is 408, and the last."""
    answer = wire.answer()
    assert (answer.status, answer.closes) == (408, True)
    with pytest.raises(Ended):
        wire.answer()


def test_a_client_that_says_nothing_is_closed_in_silence(site: Site) -> None:
    def check(place: str) -> None:
        since = Since()
        with connect(site, place) as wire:
            assert wire.rest() == b""
        assert since.about(HEADER)

    everywhere(check)


def test_a_head_that_trickles_has_one_deadline(site: Site) -> None:
    def check(place: str) -> None:
        since = Since()
        with connect(site, place) as wire:
            wire.socket.settimeout(HEADER / 20)
            head = iter(get("/fast?id=" + "x" * 2000))
            while not wire.has_more():
                wire.send(bytes([next(head)]))
            wire.socket.settimeout(PATIENCE)
            refused(wire)
        assert since.about(HEADER)

    everywhere(check)


def test_half_a_head_is_refused(site: Site) -> None:
    def check(place: str) -> None:
        since = Since()
        with connect(site, place) as wire:
            wire.send(get("/fast?id=1")[:-1])
            refused(wire)
        assert since.about(HEADER)

    everywhere(check)


def test_half_a_head_behind_other_requests_is_refused_when_they_are_answered(site: Site) -> None:
    def check(place: str) -> None:
        with connect(site, place) as wire:
            wire.send(get(f"/slow?id=1&seconds={HEADER * 1.5}"), get("/fast?id=2"), get("/fast?id=3")[:-1])
            assert wire.answer().id == "1"
            since = Since()
            assert wire.answer().id == "2"
            refused(wire)
        assert since.about(HEADER * 0.9)

    everywhere(check)


def test_content_that_stops_is_refused(site: Site) -> None:
    def check(place: str) -> None:
        with connect(site, place) as wire:
            request = post("/echo?id=1", b"x" * 100)
            wire.send(request[:-100])
            for _ in range(30):
                wire.send(b"x")
                time.sleep(BODY / 20)
            since = Since()
            refused(wire)
            assert since.about(BODY * 0.9)

    everywhere(check)


def test_an_idle_connection_is_closed_in_silence(site: Site) -> None:
    def check(place: str) -> None:
        with connect(site, place) as wire:
            for _ in range(30):
                assert wire.get("/fast?id=1").id == "1"
                time.sleep(KEEPALIVE / 20)
            since = Since()
            assert wire.rest() == b""
            assert since.about(KEEPALIVE * 0.9)

    everywhere(check)


def test_an_application_has_what_time_it_takes(site: Site) -> None:
    def check(place: str) -> None:
        seconds = 2 * max(HEADER, BODY, KEEPALIVE)
        with connect(site, place) as wire:
            assert wire.get(f"/slow?id=1&seconds={seconds}").id == "1"
            assert wire.get("/fast?id=2").id == "2"

    everywhere(check)


def test_many_slow_clients_hold_up_nobody(site: Site) -> None:
    """Two hundred that trickle a head, and two hundred that trickle content; there are two threads."""
    wires = []
    for number in range(400):
        wire = connect(site, PLACES[number % 3])
        wire.send(get("/fast?id=1")[:-1] if number % 2 else post("/echo?id=1", b"x" * 100)[:-50])
        wires.append(wire)
    for number in range(20):
        assert site.get(f"/fast?id={number}", address=number % 3).text == str(number)
    for wire in wires:
        assert wire.answer().status == 408
        wire.close()
    eventually(lambda: state(site)["connections"] <= 1, "connections are left")


@pytest.mark.parametrize("place", ["tcp", "unix"])
def test_idle_connections_weigh_little_and_hold_up_nobody(place: str, tmp_path: Path, certificate: Certificate) -> None:
    """Two thousand that have had an answer and may have another; a new request is answered meanwhile, and so is each of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2 * IDLE + 200:
        pytest.skip(f"no more than {hard} descriptors are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * IDLE + 200), hard))
    try:
        with Site("pressing:app", "--keepalive=300", listen=endpoints(tmp_path, certificate)) as site:
            assert site.get("/state").status == 200
            before = site.memory
            wires = [connect(site, place) for _ in range(IDLE)]
            for number, wire in enumerate(wires):
                wire.send(get(f"/fast?id={number}"))
            for number, wire in enumerate(wires):
                assert wire.answer().id == str(number)
            for address in range(len(PLACES)):
                assert site.get("/fast?id=meanwhile", address=address).text == "meanwhile"
            assert (site.memory - before) / IDLE < WEIGHT
            for wire in wires[::10]:
                assert wire.get("/fast?id=again").id == "again"
            began = time.monotonic()
            site.stop()
            assert time.monotonic() - began < PATIENCE / 2
            for wire in wires:
                assert wire.rest() == b""
                wire.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
