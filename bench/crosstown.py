#!/usr/bin/env python3
"""What crosstown traffic costs: python bench/crosstown.py. Prints figures beside their goals; README.md says what they mean."""

from __future__ import annotations

import argparse
import http.client
import resource
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from twisted.internet.selectreactor import SelectReactor

from hendrix.crosstown.dispatcher import Dispatcher
from hendrix.crosstown.traffic import crosstown_traffic
from hendrix.service import makeService
from hendrix.threads.bell import Bell
from hendrix.threads.crew import Crew

started: list[float] = []
finished = threading.Event()


def nothing() -> None:
    """The task that costs nothing itself."""


def stamp() -> None:
    started.append(time.monotonic())
    finished.set()


def app(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    """/: no task; /task: a no-op; /stamp: one that says when it started."""
    path = environ["PATH_INFO"]
    if path == "/task":
        crosstown_traffic()(nothing)
    elif path == "/stamp":
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


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def overhead(port: int, requests: int, rounds: int) -> float:
    """Microseconds of CPU that a no-op task adds to a request. Client and server share the process, and the client's part cancels out."""

    def per_request(path: str) -> float:
        before = cpu()
        with socket.create_connection(("127.0.0.1", port)) as connection:
            request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            for _ in range(requests):
                connection.sendall(request)
                while not connection.recv(4096).endswith(b"ok"):
                    pass
        return (cpu() - before) / requests * 1e6

    differences = []
    for path in ("/", "/task"):
        per_request(path)
    for _ in range(rounds):
        without = per_request("/")
        differences.append(per_request("/task") - without)
    return statistics.median(differences)


def delays(port: int, count: int) -> tuple[float, float]:
    """Milliseconds from the client's having the last byte to the start of the task, on an idle crew: median and 99th percentile."""
    found = []
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for _ in range(count):
        started.clear()
        finished.clear()
        connection.request("GET", "/stamp")
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
    code, title, out_at, last = "200", "GET /", 0.0, None

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


def main() -> int:
    """Measure and print; 1 if a goal was missed and ``--strict`` was given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=3000, help="requests of a round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="(%(default)s)")
    parser.add_argument("--tasks", type=int, default=20000, help="tasks for the throughput (%(default)s)")
    parser.add_argument("--threads", type=int, default=8, help="(%(default)s)")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a goal is missed")
    options = parser.parse_args()
    with site(options.threads) as port:
        added = overhead(port, options.requests, options.rounds)
        median, worst = delays(port, 1000)
    ours, theirs = throughput(options.tasks, options.threads)
    rows = [
        (f"a no-op task adds {added:.1f} µs of CPU to a request", "under 10 µs", added < 10),
        (f"a task starts {median:.2f} ms after the last byte was read (median), {worst:.2f} ms (p99)", "p99 under 2 ms", worst < 2),
        (f"{ours:,.0f} tasks/s, {ours / theirs:.2f} of ThreadPoolExecutor.submit ({theirs:,.0f}/s)", "at least 0.5", ours >= theirs / 2),
    ]
    for text, goal, met in rows:
        print(f"{text}; goal: {goal}: {'met' if met else 'MISSED'}")
    return int(options.strict and not all(met for _, _, met in rows))


if __name__ == "__main__":
    sys.exit(main())
