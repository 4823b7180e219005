"""Many idle keep-alive connections: what each costs, and whether a new request is answered while they wait.

As a script it is one of the clients: `idle.py ADDRESS PORT COUNT` opens COUNT connections from ADDRESS, sends a request on each and reads
the answer, prints "ready", and does the same again on all of them for every line on its standard input. It leaves at the end of the input.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from load import KEEP_ALIVE, probe, read_answer, request_bytes
from processes import Process
from servers import App

CLIENTS = 4
FEW = 100  # connections, to see how many file descriptors each costs
SPARE = 32  # file descriptors for the new requests while the others wait
NEW_REQUESTS = 200


@dataclass(frozen=True)
class Idle:
    """What a number of idle connections meant to one server."""

    wanted: int
    connections: int  # fewer than wanted where the limit of file descriptors is low
    memory: float  # KiB of PSS per connection
    descriptors: float  # per connection
    cpu: float  # CPU milliseconds per second while nothing happens
    p50: float  # milliseconds for a new connection, a request and its answer, while the others wait
    worst: float
    left: int  # descriptors that are still open when all the clients have left
    alive: bool  # every idle connection answered once more at the end


def raise_limit(need: int) -> int:
    """Raise the limit of open files for this process and those it starts, to `need` if that can be; return the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < need:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (need, max(hard, need)))
        except (ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def affordable(process: Process, port: int, wanted: int) -> int:
    """Return how many of `wanted` connections a server can have within its limit of open files, a multiple of CLIENTS."""
    limit, before = resource.getrlimit(resource.RLIMIT_NOFILE)[0], process.descriptors()
    with clients(port, [FEW]):
        each = max(1, round((process.descriptors() - before) / FEW))
    wait_for_descriptors(process, before)
    return min(wanted, (limit - before - SPARE) // each) // CLIENTS * CLIENTS


def measure_idle(process: Process, port: int, app: App, wanted: int) -> Idle:
    """Measure a server that is warm. Raise ValueError when a connection is refused or an answer is wrong."""
    connections = affordable(process, port, wanted)
    memory, descriptors = process.pss(), process.descriptors()
    with clients(port, [connections // CLIENTS] * CLIENTS) as holders:
        time.sleep(1)
        used, start = process.cpu(), time.monotonic()
        time.sleep(2)
        used, passed = process.cpu() - used, time.monotonic() - start
        extra_memory, extra_descriptors = process.pss() - memory, process.descriptors() - descriptors
        times = [time_one(port, app) for _ in range(NEW_REQUESTS)]
        alive = all(still_alive(holder) for holder in holders)
    wait_for_descriptors(process, descriptors)
    return Idle(
        wanted=wanted,
        connections=connections,
        memory=extra_memory / connections,
        descriptors=extra_descriptors / connections,
        cpu=1000 * used / passed,
        p50=statistics.median(times),
        worst=max(times),
        left=process.descriptors() - descriptors,
        alive=alive,
    )


def wait_for_descriptors(process: Process, most: int, seconds: float = 10.0) -> None:
    """Return when a server has closed its connections, or after `seconds`."""
    deadline = time.monotonic() + seconds
    while process.descriptors() > most and time.monotonic() < deadline:
        time.sleep(0.05)


def time_one(port: int, app: App) -> float:
    """Return the milliseconds that a new connection with two requests, checked, takes."""
    start = time.monotonic()
    probe(port, app, KEEP_ALIVE)
    return 1000 * (time.monotonic() - start)


@contextlib.contextmanager
def clients(port: int, counts: list[int]) -> Iterator[list[subprocess.Popen[str]]]:
    """Run a client process for each count, each with a loopback address of its own, all with their connections open."""
    holders = []
    try:
        for number, count in enumerate(counts):
            command = [sys.executable, __file__, f"127.0.0.{2 + number}", str(port), str(count)]
            holders.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        for holder in holders:
            expect_ready(holder)
        yield holders
    finally:
        for holder in holders:
            holder.communicate()  # closes its input: it leaves


def expect_ready(client: subprocess.Popen[str]) -> None:
    """Wait until a client has all its answers."""
    assert client.stdout
    line = client.stdout.readline().strip()
    if line != "ready":
        raise ValueError(f"idle connections: {line or 'the client has ended'}")


def still_alive(client: subprocess.Popen[str]) -> bool:
    """Let a client use all its connections once more; tell whether all were answered."""
    assert client.stdin
    try:
        client.stdin.write("again\n")
        client.stdin.flush()
        expect_ready(client)
    except (OSError, ValueError):
        return False
    return True


def be_client(address: str, port: int, count: int) -> None:
    """Hold `count` connections; see above."""
    raise_limit(count + SPARE)
    connections = []
    try:
        for _ in range(count):
            connections.append(socket.create_connection(("127.0.0.1", port), 30, (address, 0)))
            ask(connections[-1], port)
        print("ready", flush=True)
        for _ in sys.stdin:
            for connection in connections:
                ask(connection, port)
            print("ready", flush=True)
    except (OSError, ValueError) as error:
        print(f"connection {len(connections)}: {error}", flush=True)


def ask(connection: socket.socket, port: int) -> None:
    """Send a request, read its answer."""
    connection.sendall(request_bytes(port, KEEP_ALIVE))
    read_answer(connection)


if __name__ == "__main__":
    be_client(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
