"""One client: a single checked request, and wrk for a number of seconds."""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from processes import Process, connections_opened, machine_cpu
from servers import App

SCRIPT = Path(__file__).resolve().with_name("wrk.lua")
KEEP_ALIVE, CLOSE = "keep-alive", "close"
ERRORS = ("connect", "read", "write", "status", "timeout")


@dataclass(frozen=True)
class Sample:
    """What one measurement of a server gave."""

    rate: float  # requests per second
    cpu: float  # CPU microseconds per request, of the server's whole process tree
    p50: float  # milliseconds
    p99: float  # milliseconds
    requests: int
    served: float  # connections that wait for an answer, on average (rate * mean latency): near all of them, if all are served alike
    client: float  # share of its core that wrk used: near 1, the client is the bottleneck and only `cpu` compares servers
    foreign: float  # cores that other processes kept busy meanwhile
    steal: float  # cores that the hypervisor took away meanwhile
    faults: tuple[str, ...]  # what was wrong with the answers


def request_bytes(port: int, mode: str) -> bytes:
    """Return the very request that wrk sends."""
    end = "Connection: close\r\n\r\n" if mode == CLOSE else "\r\n"
    return f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{end}".encode()


def read_answer(sock: socket.socket) -> tuple[bytes, bytes]:
    """Read one answer with a Content-Length; return its head and its body. Raise ValueError if it is something else."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece:
            raise ValueError(f"closed after {data!r}")
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":", 1)[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    if len(lengths) != 1:
        raise ValueError(f"no Content-Length in {head!r}")
    while len(body) < int(lengths[0]):
        piece = sock.recv(65536)
        if not piece:
            raise ValueError(f"closed after {len(body)} bytes of the body")
        body += piece
    return head, body


def probe(port: int, app: App, mode: str) -> int:
    """Send one request; return the size of the answer in bytes. Raise ValueError for a wrong answer, OSError for none."""
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.sendall(request_bytes(port, mode))
        head, body = read_answer(sock)
        if b" 200 " not in head.split(b"\r\n", 1)[0] + b" ":
            raise ValueError(f"answered {head!r}")
        if not app.is_right(body):
            raise ValueError(f"answered {body!r}")
        if mode == CLOSE:
            sock.settimeout(2)
            if sock.recv(1):
                raise ValueError("sent more than one answer")
        if mode == KEEP_ALIVE:
            sock.sendall(request_bytes(port, mode))
            read_answer(sock)
    return len(head) + 4 + len(body)


def wait_until_ready(process: Process, port: int, app: App, mode: str, seconds: float = 30.0) -> None:
    """Return when the server answers rightly; raise ValueError with what it printed when it does not."""
    deadline, reason = time.monotonic() + seconds, ""
    while process.alive and time.monotonic() < deadline:
        try:
            probe(port, app, mode)
            return
        except (OSError, ValueError) as error:
            reason = str(error)
            time.sleep(0.05)
    raise ValueError(f"{reason if process.alive else 'ended at once'}: {process.output()}")


def wrk(port: int, connections: int, seconds: int, mode: str, core: int) -> dict[str, int]:
    """Run wrk on `core`; return its counts, times in microseconds."""
    header = ["-H", "Connection: close"] if mode == CLOSE else []
    options = ["-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(SCRIPT), *header]
    done = subprocess.run(["taskset", "-c", str(core), "wrk", *options, f"http://127.0.0.1:{port}/"], capture_output=True, text=True)
    for line in done.stdout.splitlines():
        if line.startswith("JSON "):
            counts: dict[str, int] = json.loads(line[5:])
            return counts
    raise ValueError(f"wrk failed: {done.stdout}{done.stderr}")


def measure(process: Process, port: int, app: App, connections: int, seconds: int, mode: str, core: int) -> Sample:
    """Drive a server that is warm, and check that all it answered is right: the status, the size, and one body before and after."""
    faults: list[str] = []
    size = probe(port, app, mode)
    busy, steal = machine_cpu()
    own, client, opened = process.cpu(), client_cpu(), connections_opened()
    counts = wrk(port, connections, seconds, mode, core)
    own, client, opened = process.cpu() - own, client_cpu() - client, connections_opened() - opened
    busy_now, steal_now = machine_cpu()
    try:
        if probe(port, app, mode) != size:
            faults.append("the answer's size has changed")
    except (OSError, ValueError) as error:
        faults.append(f"after the load: {error}")
    faults += [f"{counts[name]} {name} errors" for name in ERRORS if counts[name]]
    requests, wall = counts["requests"], counts["microseconds"] / 1e6
    if not requests:
        raise ValueError(f"answered nothing in {seconds} s: {' '.join(faults)}")
    if not 0 <= counts["bytes"] - requests * size <= connections * size:  # each connection may hold part of an answer at the end
        faults.append(f"{counts['bytes']} bytes in {requests} answers of {size}")
    if mode == CLOSE and opened < 0.98 * requests:
        faults.append(f"only {opened} connections for {requests} requests")
    if mode == KEEP_ALIVE and opened > connections + 0.5 * requests:  # others on this machine open connections too
        faults.append(f"{opened} connections opened, where {connections} should have been kept")
    return Sample(
        rate=requests / wall,
        cpu=1e6 * own / requests,
        p50=counts["p50"] / 1e3,
        p99=counts["p99"] / 1e3,
        requests=requests,
        served=requests / wall * counts["mean"] / 1e6,
        client=client / wall,
        foreign=max(0.0, busy_now - busy - own - client) / wall,
        steal=(steal_now - steal) / wall,
        faults=tuple(faults),
    )


def client_cpu() -> float:
    """Return the CPU seconds of all the clients that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
