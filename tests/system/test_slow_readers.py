"""Clients that read slowly, or not at all: what they hold is bounded, nobody waits for them, and they are cut in time."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
from pressure import PLACES, Ended, Wire, connect, endpoints, eventually, everywhere, get, state

from certificates import Certificate
from harness import Site

# Bytes that one client may make the site hold: what an application may be ahead, twice on its way through the reactor, and the
# buffers around; without a bound it would be all that the application has.
BOUND = 3 << 20
CLIENTS = 4


def lazy(site: Site, place: str) -> Wire:
    """A connection with little room for what it does not read."""
    wire = connect(site, place)
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    return wire


def began(wire: Wire) -> None:
    """Wait for the first bytes."""
    wire.read_some(1000)


def test_a_stream_that_nobody_reads_is_bounded_and_cut(tmp_path: Path, certificate: Certificate) -> None:
    """A stream without end to several clients; one thread is left for the others."""
    count = CLIENTS * len(PLACES)
    with Site("pressing:app", f"--threads={count + 1}", "--write-timeout=4", listen=endpoints(tmp_path, certificate)) as site:
        assert site.get("/state").status == 200
        before, started = site.memory, time.monotonic()
        wires = [lazy(site, place) for place in PLACES * CLIENTS]
        for wire in wires:
            wire.send(get("/stream?id=endless&size=65536"))
            began(wire)
        assert site.get("/fast?id=meanwhile").text == "meanwhile"
        assert state(site)["streams"] == count
        most = 0
        while time.monotonic() < started + 2:
            most = max(most, site.memory - before)
            time.sleep(0.01)
        assert most < count * BOUND
        eventually(lambda: state(site)["streams"] == 0, "the streams are not closed")
        assert time.monotonic() - started > 3.8
        for wire in wires:
            assert not wire.rest().endswith(b"\r\n0\r\n\r\n")
            wire.close()
        assert "Traceback" not in site.log


def test_pipelined_answers_that_nobody_reads_are_bounded(tmp_path: Path, certificate: Certificate) -> None:
    """Four hundred requests in a breath, for a megabyte each."""
    size = 1_000_000
    with Site("pressing:app", "--threads=2", "--write-timeout=1", listen=endpoints(tmp_path, certificate)) as site:
        assert site.get("/state").status == 200
        before = site.memory
        wires = [lazy(site, place) for place in PLACES * CLIENTS]
        for wire in wires:
            wire.send(*(get(f"/large?id={number}&size={size}") for number in range(400)))
            began(wire)
        assert site.get("/fast?id=meanwhile").text == "meanwhile"
        assert site.memory - before < len(wires) * (BOUND + 2 * size)
        eventually(lambda: state(site)["connections"] <= 1, "they are not cut")
        for wire in wires:
            wire.close()


def test_a_file_that_nobody_reads_takes_no_thread(tmp_path: Path, certificate: Certificate) -> None:
    size = 1 << 30
    with Site("pressing:app", "--threads=1", "--write-timeout=1", listen=endpoints(tmp_path, certificate)) as site:
        assert site.get("/state").status == 200
        before, descriptors = site.memory, site.descriptors
        wires = [lazy(site, place) for place in ("tcp", "unix") * CLIENTS]
        for wire in wires:
            wire.send(get(f"/file?id=file&size={size}"))
            began(wire)
        assert site.get("/fast?id=meanwhile").text == "meanwhile"
        assert site.memory - before < 4 << 20
        eventually(lambda: site.descriptors <= descriptors, "their files are not closed")
        for wire in wires:
            assert len(wire.rest()) < size
            wire.close()


def test_a_slow_but_steady_reader_has_everything(tmp_path: Path, certificate: Certificate) -> None:
    """It takes three times the write timeout for the whole, and never that long for a piece."""
    size, timeout = 3_000_000, 2.0
    with Site("pressing:app", "--threads=6", f"--write-timeout={timeout}", listen=endpoints(tmp_path, certificate)) as site:

        def check(place: str) -> None:
            wires = {
                target: lazy(site, place) for target in (f"/large?id=1&size={size}", f"/stream?id=2&size=30000&pieces={size // 30_000}")
            }
            for target, wire in wires.items():
                wire.send(get(target))
            started = time.monotonic()
            while time.monotonic() < started + 3 * timeout:
                for wire in wires.values():
                    wire.read_some(size // 100)
                time.sleep(timeout / 25)
            for wire in wires.values():
                assert len(wire.answer().body) == size
                wire.close()

        everywhere(check)


def test_a_client_that_leaves_in_the_middle_costs_nothing(tmp_path: Path, certificate: Certificate) -> None:
    with Site("pressing:app", "--threads=4", listen=endpoints(tmp_path, certificate)) as site:
        for place in PLACES:
            site.get("/fast?id=1", address=PLACES.index(place))
        threads, descriptors = site.threads, site.descriptors
        for reset in (False, True):
            for place in PLACES:
                for target in ("/stream?id=1&size=65536", "/large?id=1&size=30000000", "/file?id=1&size=1000000000"):
                    with connect(site, place) as wire:
                        wire.send(get(target))
                        began(wire)
                        wire.leave(reset=reset)
        eventually(lambda: (left := state(site))["streams"] == 0 and left["connections"] <= 1, "streams or connections are left")
        eventually(lambda: site.descriptors <= descriptors, "descriptors are left")
        assert site.threads <= threads
        assert "bug in hendrix" not in site.log


def test_a_client_that_was_cut_hears_nothing_of_a_whole_answer(tmp_path: Path, certificate: Certificate) -> None:
    with Site("pressing:app", "--write-timeout=0.3", listen=endpoints(tmp_path, certificate)) as site:
        for place in PLACES:
            with lazy(site, place) as wire:
                wire.send(get("/large?id=1&size=30000000"))
                began(wire)
                eventually(lambda: state(site)["connections"] <= 1, "it is not cut")
                with pytest.raises(Ended):
                    wire.answer()
