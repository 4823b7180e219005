"""Connections over worker processes: messages, orders and sleepers; and a worker that dies takes along only its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sockets import CLOSE, Client, publish, subscribed

import hendrix.client
from harness import Site


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with (
        tempfile.TemporaryDirectory() as home,
        Site("realtime:app", "--threads=3", "--workers=2", "--grace=5", f"--control={home}/control") as site,
    ):
        yield site


def control_of(site: Site) -> str:
    return next(word.partition("=")[2] for word in site.command if word.startswith("--control="))


def clients(site: Site, stack: contextlib.ExitStack, path: str, count: int = 30) -> dict[int, list[Client]]:
    """So many connections, by the worker that has them: at least one in each."""
    found: dict[int, list[Client]] = {}
    deadline = time.monotonic() + 60
    while sum(map(len, found.values())) < count or len(found) < 2:
        assert time.monotonic() < deadline, "all connections are with one worker"
        client = stack.enter_context(Client(site, path))
        worker = int(client.head.partition("X-Process: ")[2].split()[0])
        found.setdefault(worker, []).append(client)
    return found


def test_each_gets_what_is_published_once_and_in_order_wherever(site: Site) -> None:
    with contextlib.ExitStack() as stack:
        everybody = [client for group in clients(site, stack, "/topics").values() for client in group]
        for client in everybody:
            subscribed(client, "news.*", "chat.lobby")
        for number in range(50):
            publish(site, "chat.lobby", number)
        heard = [[client.receive_json()["payload"] for _ in range(50)] for client in everybody]
        assert all(sorted(numbers) == list(range(50)) for numbers in heard)
        assert all(numbers == heard[0] for numbers in heard), "all hear the same in the same order"


def test_orders_reach_connections_of_other_workers(site: Site) -> None:
    with contextlib.ExitStack() as stack:
        everybody = clients(site, stack, "/act")
        for group in everybody.values():
            for client in group:
                assert client.receive() == "welcome"
                client.send('["about"]')
                id = client.receive_json()["id"]
                site.get(f"/send?id={id}&text=hello")
                assert client.receive() == "hello"
        site.get("/close?user=jimi")
        assert {client.next() for group in everybody.values() for client in group} == {(CLOSE, (1008, "logged out"))}


PLAIN = """
from hendrix import hey_joe
import sys
hey_joe.send_to(sys.argv[1], {"to": "you"})
hey_joe.send_to(sys.argv[1], b"bytes")
"""


def test_orders_come_from_any_process_and_the_command_line(site: Site) -> None:
    control = control_of(site)
    env = {**os.environ, "HENDRIX_CONTROL": control}
    hx = f"{sysconfig.get_path('scripts')}/hx"
    with contextlib.ExitStack() as stack:
        everybody = clients(site, stack, "/act", 4)
        ids = {}
        for group in everybody.values():
            for client in group:
                assert client.receive() == "welcome"
                client.send('["about"]')
                ids[client] = client.receive_json()["id"]
            first = group[0]
            subprocess.run([sys.executable, "-c", PLAIN, ids[first]], env=env, check=True)
            assert first.receive_json() == {"to": "you"}
            assert first.receive() == b"bytes"
            subprocess.run([hx, "send-to", ids[first], '"text"', f"--control={control}"], check=True)
            assert first.receive() == "text"
            hendrix.client.send_to(ids[first], b"raw", control=control)
            assert first.receive() == b"raw"
            hendrix.client.send_to("of-nobody", "x", control=control)
            subprocess.run([hx, "close-for", f"--id={ids[first]}", "--code=4001", "--reason=enough"], env=env, check=True)
            assert first.next() == (CLOSE, (4001, "enough"))
        subprocess.run([hx, "close-for", "jimi"], env=env, check=True)
        assert {client.next() for group in everybody.values() for client in group[1:]} == {(CLOSE, (1008, "logged out"))}
    for arguments in ({}, {"user": True}, {"user": "jimi", "code": 12}):
        with hendrix.client.connect(control) as client, pytest.raises(hendrix.client.CommandError):
            client.ask("close_for", **arguments)
    for arguments in ({"connection": "x"}, {"connection": "x", "bytes": "?"}, {"connection": "x", "bytes": "", "data": 1}):
        with hendrix.client.connect(control) as client, pytest.raises(hendrix.client.CommandError):
            client.ask("send_to", **arguments)


def test_handlers_that_block_delay_nobody(site: Site, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with contextlib.ExitStack() as stack:
        blocked = [group[0] for group in clients(site, stack, "/hold", 2).values()]
        others = [client for group in clients(site, stack, "/echo", 6).values() for client in group]
        for client in blocked:
            client.send(str(gate))
        for number in range(20):
            for client in others:
                client.send(str(number))
                assert client.receive() == str(number)
            assert site.get("/").status == 200
        gate.touch()
        assert [client.receive() for client in blocked] == ["released"] * len(blocked)


def test_a_worker_that_dies_takes_along_only_its_own(site: Site) -> None:
    with contextlib.ExitStack() as stack:
        everybody = clients(site, stack, "/topics", 10)
        for group in everybody.values():
            for client in group:
                subscribed(client, "news.*", "chat.lobby")
        victim, survivor = list(everybody)[:2]
        os.kill(victim, signal.SIGKILL)
        assert {client.closed() for client in everybody[victim]} == {1006}
        publish(site, "chat.lobby", "still here")
        assert {client.receive_json()["payload"] for client in everybody[survivor]} == {"still here"}
