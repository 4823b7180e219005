"""The end of a site under load: no request is lost, what is idle is closed, what takes too long is logged and cut."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from pressure import PATIENCE, PLACES, Ended, Wire, connect, endpoints, eventually, get, post

from certificates import Certificate
from harness import CLEAN, Site

SIGNALS = [signal.SIGTERM, signal.SIGINT]


def held(wire: Wire, here: Path, id: str, *more: bytes) -> None:
    """Send a request that is answered when ``here`` is removed, and others behind it; return when the application has the first."""
    wire.send(get(f"/hold?id={id}&here={here}"), *more)
    eventually(here.exists, f"{id} does not reach the application")


@pytest.mark.parametrize("signal_number", SIGNALS)
@pytest.mark.parametrize("place", PLACES)
def test_what_is_in_flight_is_answered_and_what_is_idle_is_closed(
    place: str, signal_number: int, tmp_path: Path, certificate: Certificate
) -> None:
    with Site("pressing:app", "--threads=4", listen=endpoints(tmp_path, certificate)) as site:
        with connect(site, place) as busy, connect(site, place) as idle, connect(site, place) as fresh, connect(site, place) as upload:
            assert idle.get("/fast?id=idle").id == "idle"
            body = b"x" * 100_000
            upload.send(post("/echo?id=upload", body)[:-50_000])
            held(busy, tmp_path / "here", "1", get("/fast?id=2"), get("/fast?id=3"))
            os.kill(site.pid, signal_number)
            assert idle.rest() == b""
            assert fresh.rest() == b""
            assert site.exit_code is None
            upload.send(body[-50_000:])
            answer = upload.answer()
            assert (answer.id, len(answer.body), answer.closes) == ("upload", len(body), True)
            (tmp_path / "here").unlink()
            answers = [busy.answer() for _ in range(3)]
            assert [(answer.id, answer.closes) for answer in answers] == [("1", False), ("2", False), ("3", True)]
            with pytest.raises(Ended):
                busy.answer()
        began = time.monotonic()
        assert site.wait() in (*CLEAN, -signal_number)
        assert time.monotonic() - began < PATIENCE / 2
        assert "Traceback" not in site.log


def test_under_load_every_request_that_reached_the_application_is_answered(tmp_path: Path, certificate: Certificate) -> None:
    """Clients on all listeners send one request after another until the site closes their connection."""
    trace = tmp_path / "trace"
    listen = endpoints(tmp_path, certificate)
    answered: list[str] = []
    unanswered: list[str] = []

    def client(site: Site, number: int) -> None:
        sent = 0
        with connect(site, PLACES[number % 3]) as wire:
            while True:
                batch = [f"{number}-{sent + position}" for position in range(1 + number % 4)]
                sent += len(batch)
                try:
                    wire.send(*(get(f"/slow?seconds=0.002&id={id}") for id in batch))
                    for id in batch:
                        answer = wire.answer()
                        assert (answer.status, answer.id) == (200, id)
                        answered.append(id)
                        if answer.closes:
                            assert id == batch[-1] or wire.rest() == b""
                except (Ended, ConnectionError) as error:
                    assert not getattr(error, "rest", b""), "half an answer"  # noqa: PT017
                    unanswered.extend(batch)
                    return

    with Site("pressing:app", "--threads=4", listen=listen, env={"PRESSING_TRACE": str(trace)}) as site:
        threads = [threading.Thread(target=client, args=(site, number), daemon=True) for number in range(18)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(answered) > 300, "the site does not answer")
        assert site.stop() in CLEAN
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
    assert set(trace.read_text().split()) == set(answered)
    assert len(answered) == len(set(answered))


def test_a_stream_that_has_begun_is_sent_to_its_end(tmp_path: Path, certificate: Certificate) -> None:
    with Site("pressing:app", listen=endpoints(tmp_path, certificate)) as site:
        wires = [connect(site, place) for place in PLACES]
        for place, wire in zip(PLACES, wires):
            wire.send(get(f"/stream?id={place}&pieces=30&size=1000&pause=0.01"))
            wire.read_some(1000)
        os.kill(site.pid, signal.SIGTERM)
        for place, wire in zip(PLACES, wires):
            answer = wire.answer()
            assert (answer.id, len(answer.body)) == (place, 30_000)
            assert wire.rest() == b""
            wire.close()
        assert site.wait() in CLEAN


def test_a_slow_reader_has_the_whole_of_its_answer(tmp_path: Path, certificate: Certificate) -> None:
    size = 20_000_000
    with Site("pressing:app", listen=endpoints(tmp_path, certificate)) as site:
        wires = [connect(site, place) for place in PLACES]
        for wire in wires:
            wire.send(get(f"/large?id=large&size={size}"))
            wire.read_some(1000)
        os.kill(site.pid, signal.SIGTERM)
        site.wait_for_log("draining")
        for wire in wires:
            assert len(wire.answer().body) == size
            wire.close()
        assert site.wait() in CLEAN


def test_what_is_left_after_the_grace_is_logged_and_cut(tmp_path: Path, certificate: Certificate) -> None:
    with Site("pressing:app", "--grace=0.5", listen=endpoints(tmp_path, certificate)) as site:
        wires = []
        for place in PLACES:
            stuck, half, unread = (connect(site, place) for _ in range(3))
            half.send(b"GET /half HT")
            unread.send(get(f"/stream?id={place}&size=100000"))
            unread.read_some(1000)
            held(stuck, tmp_path / place, place)
            wires += [stuck, half, unread]
        began = time.monotonic()
        os.kill(site.pid, signal.SIGTERM)
        for wire in wires[::3] + wires[1::3]:
            assert wire.rest() == b""
        assert time.monotonic() - began > 0.4
        assert site.wait() in CLEAN
        assert time.monotonic() - began < PATIENCE / 2
        for wire in wires:
            wire.close()
        for place in PLACES:
            assert f"cut after 0.5 s: GET /hold?id={place}&here={tmp_path / place}" in site.log
            assert f"cut after 0.5 s: GET /stream?id={place}&size=100000" in site.log
        assert "3 threads are still in a job" in site.log


def test_a_client_that_connects_in_the_drain_is_refused(tmp_path: Path, certificate: Certificate) -> None:
    with Site("pressing:app", listen=endpoints(tmp_path, certificate)) as site:
        with connect(site) as busy:
            held(busy, tmp_path / "here", "1")
            os.kill(site.pid, signal.SIGTERM)
            site.wait_for_log("draining")
            for place in PLACES:
                with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
                    connect(site, place)
            (tmp_path / "here").unlink()
            assert busy.answer().id == "1"


@pytest.mark.parametrize("door", ["twistd", "twist", "deploy"])
def test_a_second_signal_cuts_what_is_left(door: str, tmp_path: Path) -> None:
    with Site("pressing:app", "--threads=2", "--grace=600", "--crosstown-grace=600", door=door) as site:  # type: ignore[arg-type]
        with site.connect() as client:
            client.sendall(get(f"/hold?id=1&here={tmp_path / 'here'}"))
            eventually((tmp_path / "here").exists, "the request does not reach the application")
            os.kill(site.pid, signal.SIGTERM)
            site.wait_for_log("draining; open connections: 1")
            os.kill(site.pid, signal.SIGTERM)
            assert site.wait() in (0, *CLEAN)
        assert site.log.count("SIGTERM while draining: what is left is cut") == 1
        assert f"GET /hold?id=1&here={tmp_path / 'here'}" in site.log
        assert "Traceback" not in site.log and "ReactorNotRunning" not in site.log
