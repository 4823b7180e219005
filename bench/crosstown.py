#!/usr/bin/env python3
"""What crosstown traffic costs: python bench/crosstown.py. Prints figures beside their goals; README.md says what they mean."""

from __future__ import annotations

import argparse
import http.client
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import machine
import queues
from goals import Goal
from launch import free_port, launch
from load import KEEP_ALIVE, measure
from processes import Process
from servers import APPS, HENDRIX, App
from twisted.internet.selectreactor import SelectReactor

from hendrix.crosstown.dispatcher import Dispatcher
from hendrix.crosstown.traffic import crosstown_traffic
from hendrix.service import makeService
from hendrix.threads.bell import Bell
from hendrix.threads.crew import Crew

Served = tuple[Process, int, App]

TASK = App("task", "task", APPS["bare"].answer)
COUNTS = (8, 64)  # connections
ADDED = 10.0  # microseconds
DELAY = 2.0  # milliseconds
TIMES = 20
PEERS = ("Celery with Redis", "django-tasks-db")

started: list[float] = []
finished = threading.Event()


def stamp() -> None:
    started.append(time.monotonic())
    finished.set()


def app(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    """Each response has a task that says when it started."""
    crosstown_traffic()(stamp)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


@contextmanager
def site(threads: int) -> Iterator[int]:
    """hendrix in this process, on a reactor in a thread of its own; gives the port."""
    reactor = SelectReactor()
    root = makeService({"wsgi": app, "listen": ("tcp:0:interface=127.0.0.1",), "threads": threads}, reactor=reactor)
    ready = threading.Event()

    def start() -> None:
        root.privilegedStartService()
        root.startService()
        ready.set()

    reactor.callWhenRunning(start)
    thread = threading.Thread(target=reactor.run, kwargs={"installSignalHandlers": False}, daemon=True)
    thread.start()
    ready.wait(30)
    sockets: Any = root.getServiceNamed("sockets")
    try:
        yield int(sockets.listeners[0].address.rpartition(":")[2])
    finally:
        reactor.callFromThread(lambda: root.stopService().addBoth(lambda _: reactor.stop()))
        thread.join(30)


def overhead(threads: int, cores: tuple[int, int], rounds: int, seconds: int) -> dict[int, float]:
    """Microseconds of CPU that a decorated no-op adds to a request, by the number of connections: two servers, driven in turn."""
    with serve(APPS["bare"], threads, cores[0]) as without, serve(TASK, threads, cores[0]) as with_task:
        return {count: added(without, with_task, count, cores[1], rounds, seconds) for count in COUNTS}


@contextmanager
def serve(app: App, threads: int, core: int) -> Iterator[tuple[Process, int, App]]:
    port = free_port()
    with launch(HENDRIX.command(app.module, port, threads), app, port, core, KEEP_ALIVE) as process:
        yield process, port, app


def added(without: Served, with_task: Served, count: int, core: int, rounds: int, seconds: int) -> float:
    def per_request(served: Served) -> float:
        process, port, app = served
        return measure(process, port, app, count, seconds, KEEP_ALIVE, core).cpu

    for served in (without, with_task):
        per_request(served)
    return statistics.median(-per_request(without) + per_request(with_task) for _ in range(rounds))


def delays(port: int, count: int) -> tuple[float, float]:
    """Milliseconds from the client's having the last byte to the start of the task, on an idle crew: median and 99th percentile."""
    found = []
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for _ in range(count):
        started.clear()
        finished.clear()
        connection.request("GET", "/")
        connection.getresponse().read()
        read_at = time.monotonic()
        if not finished.wait(10):
            raise RuntimeError("a task did not start")
        found.append((started[0] - read_at) * 1000)
    found.sort()
    return found[count // 2], found[int(count * 0.99)]


def tasks_per_second(submit: Callable[[Callable[[], None]], object], count: int) -> float:
    """How many no-op tasks go through in a second, from the first submitted to the last run."""
    done = threading.Event()
    left = iter(range(count - 1))

    def one() -> None:
        if next(left, None) is None:
            done.set()

    before = time.perf_counter()
    for _ in range(count):
        submit(one)
    if not done.wait(60):
        raise RuntimeError("not all tasks ran")
    return count / (time.perf_counter() - before)


class Out:
    """A response that is out: each task goes to the crew as it comes."""

    after: list[Any]
    failed = gone = False
    code, title, request_id, out_at, last = "200", "GET /", "", 0.0, None

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.after, self._dispatcher = [], dispatcher

    def submit(self, function: Callable[[], None]) -> None:
        crosstown_traffic._queue(function)

    def follow_with(self, task: Any) -> None:
        self._dispatcher.queue(self, task)
        self._dispatcher.follow(self)


def throughput(count: int, threads: int) -> tuple[float, float]:
    """Tasks per second: hendrix, and a ThreadPoolExecutor."""
    from hendrix.crosstown.traffic import current

    crew = Crew(threads, Bell(), lambda function, *arguments: function(*arguments))
    crew.start()
    response = Out(Dispatcher(crew, threads - 1, count))
    token = current.set(response)
    try:
        ours = max(tasks_per_second(response.submit, count) for _ in range(3))
    finally:
        current.reset(token)
        crew.quit()
    with ThreadPoolExecutor(threads) as pool:
        theirs = max(tasks_per_second(pool.submit, count) for _ in range(3))
    return ours, theirs


@dataclass(frozen=True)
class Crosstown:
    """What was found.

    :ivar added: microseconds of CPU for a no-op task, by the number of connections.
    :ivar delay: milliseconds from the last byte to the start: median, and 99th percentile.
    :ivar rate: no-op tasks per second.
    :ivar executor: the same of ``ThreadPoolExecutor.submit``.
    :ivar peers: the same of those who run work behind a request otherwise; None where one could not be measured.
    """

    added: dict[int, float]
    delay: tuple[float, float]
    rate: float
    executor: float
    peers: dict[str, float | None]


def run(threads: int, cores: tuple[int, int], *, quick: bool = False, fault: Callable[[str], None] = print) -> Crosstown:
    """Measure all of it; a minute, less if it is to be `quick`. `fault` hears of a peer that could not be measured."""
    rounds, seconds, tasks = (1, 1, 2000) if quick else (5, 2, 20_000)
    added = overhead(threads, cores, rounds, seconds)
    with site(threads) as port:
        delay = delays(port, 1000)
    rate, executor = throughput(tasks, threads)
    peers: dict[str, float | None] = {}
    for name, peer in zip(PEERS, (queues.celery, queues.database)):
        try:
            peers[name] = peer(tasks // 10, cores[0])
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            peers[name] = None
            fault(f"{name}: {error}")
    return Crosstown(added, delay, rate, executor, peers)


def judge(found: Crosstown | None) -> list[Goal]:
    """The goals of crosstown traffic, with their verdicts."""
    texts = [
        f"CPU that a no-op task adds to a request: under {ADDED:g} µs",
        f"delay from the last byte to a task's start, idle: p99 under {DELAY:g} ms",
        "tasks/s: at least half of ThreadPoolExecutor.submit",
        *(f"tasks/s: at least {TIMES} times {name}" for name in PEERS),
    ]
    if found is None:
        return [Goal(text) for text in texts]
    figures: list[tuple[str, bool | None]] = [
        ("; ".join(f"{count} connections: {value:.1f} µs" for count, value in found.added.items()), max(found.added.values()) < ADDED),
        (f"p50 {found.delay[0]:.2f} ms, p99 {found.delay[1]:.2f} ms", found.delay[1] < DELAY),
        (f"{found.rate / found.executor:.2f} of {found.executor:,.0f}", found.rate >= found.executor / 2),
    ]
    for name in PEERS:
        peer = found.peers.get(name)
        figure = f"{found.rate:,.0f}, {found.rate / peer:.0f} times {peer:,.0f}" if peer else ""
        figures.append((figure, found.rate >= TIMES * peer if peer else None))
    return [Goal(text, figure, met) for text, (figure, met) in zip(texts, figures)]


def main() -> int:
    """Measure and print; 1 if a goal was missed and ``--strict`` was given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-q", "--quick", action="store_true", help="rough figures, to see that it works")
    parser.add_argument("-t", "--threads", type=int, default=8, help="(default: %(default)s)")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a goal is missed")
    options = parser.parse_args()
    goals = judge(run(options.threads, machine.two_cores(), quick=options.quick))
    for goal in goals:
        print(f"{goal.text}: {goal.figures or '-'}: {'not measured' if goal.met is None else 'met' if goal.met else 'MISSED'}")
    return int(options.strict and not all(goal.met for goal in goals))


if __name__ == "__main__":
    sys.exit(main())
