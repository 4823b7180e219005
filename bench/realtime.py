#!/usr/bin/env python3
"""WebSockets beside others who hold them: python bench/realtime.py. Prints figures beside their goals; README.md says what they mean."""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import machine
from crosstown import added, serve
from goals import Goal
from idle import raise_limit
from launch import free_port
from load import KEEP_ALIVE, wait_until_ready
from machine import HERE, clean_environ
from processes import Process
from queues import wait_for
from servers import APPS, APPS_FOLDER, App, Server

JOE = App("joe", "joe", b"ok")
OURS, UVICORN, DAPHNE, GRANIAN = "hendrix", "uvicorn + websockets", "Daphne + Channels", "granian"
SERVERS = (
    Server(
        OURS,
        "hendrix",
        "{bin}/twistd -n --pidfile= hendrix --wsgi=joe.application --listen=tcp:{port}:interface=127.0.0.1 --threads={threads}",
    ),
    Server(
        UVICORN,
        "uvicorn",
        "{bin}/uvicorn --host 127.0.0.1 --port {port} --ws websockets --loop uvloop --log-level error --no-access-log asgi_joe:application",
    ),
    Server(DAPHNE, "daphne", "{bin}/daphne -b 127.0.0.1 -p {port} -v 0 --websocket_connect_timeout 60 channels_joe:application"),
    Server(
        GRANIAN,
        "granian",
        "{bin}/granian --interface asgi --host 127.0.0.1 --port {port} --workers 1 --ws --log-level error asgi_joe:application",
    ),
)
ECHOES = 64  # connections
SUBSCRIBERS = 1000
TIMES = 5  # ahead of Daphne + Channels
MEMORY = 12.0  # KiB
PATIENCE = 240.0  # seconds for a client


@dataclass(frozen=True)
class Held:
    """What one server made of its connections.

    :ivar rate: messages there and back in a second, over `ECHOES` connections.
    :ivar cpu: microseconds of CPU for one.
    :ivar last: milliseconds until the last of `SUBSCRIBERS` has a message.
    :ivar each: microseconds of CPU for one of them.
    :ivar memory: KiB of PSS for an idle connection, of so many that were open.
    """

    rate: float
    cpu: float
    last: float
    each: float
    memory: float
    open: int


@dataclass(frozen=True)
class Realtime:
    """What was found: the servers by their names, and the microseconds of CPU that publishing adds to a request, by connections."""

    held: dict[str, Held]
    publishing: dict[int, float]


@contextmanager
def redis(core: int) -> Iterator[tuple[Process | None, str]]:
    """A Redis for Channels, and its URL; None where there is none."""
    if not shutil.which("redis-server"):
        yield None, "redis://127.0.0.1:1/0"
        return
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        with Process(words, core, Path(folder), clean_environ(APPS_FOLDER)) as server:
            wait_for(server, lambda: socket.create_connection(("127.0.0.1", port), 1).close())
            yield server, f"redis://127.0.0.1:{port}/0"


class Client:
    """`chatter.py` on a core of its own, whose connections are open; a context manager."""

    def __init__(self, core: int, what: str, port: int, count: int, number: int = 0) -> None:
        words = ["taskset", "-c", str(core), sys.executable, str(HERE / "chatter.py"), what, *map(str, (port, count, number))]
        self._child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self) -> Client:
        assert self._child.stdout is not None
        if self._child.stdout.readline() != "ready\n":
            raise ValueError(self._words())
        return self

    def __exit__(self, *exc: object) -> None:
        self._child.kill()
        self._child.communicate()

    def work(self) -> dict[str, object]:
        """Have it do its work; what it has seen."""
        said, words = self._child.communicate("go\n", timeout=PATIENCE)
        if self._child.returncode or not said:
            raise ValueError(words[-300:] or "the client said nothing")
        found: dict[str, object] = json.loads(said)
        return found

    def _words(self) -> str:
        self._child.kill()
        return self._child.communicate()[1][-300:]


def measure(server: Server, threads: int, cores: tuple[int, int], seconds: int, times: int, idle: int) -> Held:
    """All of one server. Raises ValueError, OSError where it does not do what it should."""
    own, client = cores
    raise_limit(2 * max(idle, SUBSCRIBERS) + 1000)
    with redis(own) as (store, url):
        if store is None and server.name == DAPHNE:
            raise ValueError("redis-server is not installed; on Debian: apt-get install redis-server")
        port = free_port()
        environ = {**clean_environ(APPS_FOLDER), "REDIS": url}
        with Process(server.command("", port, threads), own, APPS_FOLDER, environ) as process:
            wait_until_ready(process, port, JOE, KEEP_ALIVE)
            parts = [process, *([store] if store is not None and server.name == DAPHNE else [])]

            def cpu() -> float:
                return sum(part.cpu() for part in parts)

            with Client(client, "echo", port, ECHOES, 1) as warming:
                warming.work()
            memory = process.pss()
            with Client(client, "hold", port, idle):
                memory = process.pss() - memory
            with Client(client, "echo", port, ECHOES, seconds) as chatting:
                before = cpu()
                echoed = chatting.work()
                echo_cpu = cpu() - before
            with Client(client, "news", port, SUBSCRIBERS, times) as hearing:
                before = cpu()
                heard = hearing.work()
                news_cpu = cpu() - before
            count, took = float(str(echoed["messages"])), heard["seconds"]
            assert isinstance(took, list)
            return Held(
                rate=count / float(str(echoed["seconds"])),
                cpu=1e6 * echo_cpu / max(count, 1),
                last=1000 * statistics.median(took),
                each=1e6 * news_cpu / (times * SUBSCRIBERS),
                memory=memory / idle,
                open=idle,
            )


def run(
    threads: int, cores: tuple[int, int], *, quick: bool = False, seconds: int = 4, idle: int = 10_000, fault: Callable[[str], None] = print
) -> Realtime:
    """Measure all of it; three minutes, less if it is to be `quick`. `fault` hears of a server that could not be measured."""
    rounds, seconds, times = (1, 1, 5) if quick else (3, seconds, 50)
    idle = min(idle or 1000, raise_limit(2 * idle + 2000) - 200)
    held = {}
    for server in SERVERS:
        if machine.version(server.package) is None:
            fault(f"{server.name}, WebSockets: not installed")
            continue
        try:
            held[server.name] = found = measure(server, threads, cores, seconds, times, min(idle, 1000) if quick else idle)
            print(
                f"   {server.name:21s} echo {found.rate:7.0f}/s {found.cpu:6.1f} µs   {SUBSCRIBERS} hear within {found.last:6.1f} ms, "
                f"{found.each:5.1f} µs each   idle {found.memory:5.1f} KiB",
                flush=True,
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            fault(f"{server.name}, WebSockets: {error}")
    with serve(APPS["bare"], threads, cores[0]) as without, serve(JOE, threads, cores[0]) as publishing:
        cost = {count: added(without, publishing, count, cores[1], rounds, min(seconds, 2)) for count in (8, 64)}
    return Realtime(held, cost)


def judge(found: Realtime | None) -> list[Goal]:
    """The goals of WebSockets, with their verdicts."""
    texts = [
        f"messages echoed per second: at least {TIMES} times {DAPHNE}",
        f"CPU per echoed message, handled by synchronous code: below {UVICORN}",
        f"one message to {SUBSCRIBERS:,} subscribers, time to the last: at most a fifth of what {DAPHNE} takes",
        f"CPU for each of them: at most a fifth of what {DAPHNE} takes",
        f"PSS for an idle WebSocket: at most {MEMORY:g} KiB",
    ]
    ours = found.held.get(OURS) if found is not None else None
    if found is None or ours is None:
        return [Goal(text) for text in texts]
    daphne, uvicorn = found.held.get(DAPHNE), found.held.get(UVICORN)
    figures: list[tuple[str, bool] | None] = [
        (f"{ours.rate:,.0f}, {ours.rate / daphne.rate:.1f} times {daphne.rate:,.0f}", ours.rate >= TIMES * daphne.rate) if daphne else None,
        (f"{ours.cpu:.1f} µs, {ours.cpu / uvicorn.cpu:.2f} of {uvicorn.cpu:.1f}", ours.cpu < uvicorn.cpu) if uvicorn else None,
        (f"{ours.last:.1f} ms, theirs {daphne.last:.1f} ms", TIMES * ours.last <= daphne.last) if daphne else None,
        (f"{ours.each:.1f} µs, theirs {daphne.each:.1f} µs", TIMES * ours.each <= daphne.each) if daphne else None,
        (f"{ours.memory:.1f} KiB with {ours.open:,} open", ours.memory <= MEMORY),
    ]
    return [Goal(text) if figure is None else Goal(text, *figure) for text, figure in zip(texts, figures)]


def main() -> int:
    """Measure and print; 1 if a goal was missed and ``--strict`` was given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-q", "--quick", action="store_true", help="rough figures, to see that it works")
    parser.add_argument("-s", "--seconds", type=int, default=4, help="whole seconds of echoes (default: %(default)s)")
    parser.add_argument("-t", "--threads", type=int, default=8, help="(default: %(default)s)")
    parser.add_argument("--idle", type=int, default=10_000, help="idle connections (default: %(default)s)")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a goal is missed")
    options = parser.parse_args()
    found = run(options.threads, machine.two_cores(), quick=options.quick, seconds=options.seconds, idle=options.idle)
    print("publishing from a view: " + "; ".join(f"{count} connections: {cost:.1f} µs" for count, cost in found.publishing.items()))
    goals = judge(found)
    for goal in goals:
        print(f"{goal.text}: {goal.figures or '-'}: {'not measured' if goal.met is None else 'met' if goal.met else 'MISSED'}")
    return int(options.strict and not all(goal.met for goal in goals))


if __name__ == "__main__":
    sys.exit(main())
