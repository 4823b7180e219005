"""The fast lane moved by hand: a real `FastLane`, real sockets, a real `Worker`, and a crew of one whose turns the test takes."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from hendrix.channel.fast import FastLane
from hendrix.channel.fast_connection import FastConnection
from hendrix.channel.site import Limits, Site
from hendrix.crosstown.dispatcher import Dispatcher
from hendrix.threads.worker import Job, Worker
from hendrix.wire.response import Stamp
from hendrix.wsgi.call import Application
from hendrix.wsgi.environ import base_environ

PATIENCE = 20.0
PEER = ("192.0.2.1", "4711")
StartResponse = Callable[..., Any]


class Clock:
    """Seconds that pass when the test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Turns:
    """What the lane and the connections need of a crew. Nothing runs before `Hand.go`."""

    def __init__(self) -> None:
        self.ready: deque[Job] = deque()
        self.nudges = 0

    def enqueue(self, job: Job) -> None:
        self.ready.append(job)

    submit = enqueue

    def nudge(self) -> None:
        self.nudges += 1


class Poller:
    """An epoll; counts the events of its last poll."""

    def __init__(self, epoll: select.epoll) -> None:
        self._epoll = epoll
        self.found = 0
        self.register, self.modify, self.unregister, self.close = epoll.register, epoll.modify, epoll.unregister, epoll.close

    def poll(self, seconds: float, at_most: int) -> list[tuple[int, int]]:
        events = self._epoll.poll(seconds, at_most)
        self.found = len(events)
        return events


@dataclasses.dataclass
class Answer:
    """A response as the client sees it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        return self.headers.get("connection", "") == "close"


class Hand:
    """:param send_buffer: bytes of each socket's send buffer, 0 for the kernel's choice."""

    def __init__(self, application: Application | None = None, send_buffer: int = 0, **limits: Any) -> None:
        self.clock = Clock()
        self.lane = FastLane(self.clock)
        self.turns = Turns()
        self.lane.crew = self.turns  # type: ignore[assignment]
        self.lane._poller = self.poller = Poller(self.lane._poller)  # type: ignore[assignment]
        self.worker = Worker("hand", self.clock)
        self.owners: set[FastConnection] = set()
        base = base_environ("localhost", "80", "http", multiprocess=False)
        self.site = Site(application or echo, base, Limits(**limits), Stamp("hendrix"), Dispatcher(self.turns, 1), clock=self.clock)
        self._send_buffer = send_buffer
        self._clients: list[Client] = []

    def connect(self) -> Client:
        """A client, and its connection, which has looked for input once, as after `accept`. By TCP, or with small buffers by a unix
        socket: TCP waits long before it says that a small buffer has room again."""
        ours, theirs = socket.socketpair() if self._send_buffer else tcp_pair()
        if self._send_buffer:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._send_buffer)
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._send_buffer)
        client = Client(theirs, FastConnection(self.lane, self.site, ours, PEER, self.owners))
        self._clients.append(client)
        client.connection.ready()
        return client

    def poll(self) -> None:
        """Read and write what the kernel has."""
        self.lane.poll(0, 64)

    def run(self) -> None:
        """Do what stands in the queue now, and send it."""
        contextvars.copy_context().run(self._run)

    def _run(self) -> None:
        for _ in range(len(self.turns.ready)):
            self.turns.ready.popleft().run(self.worker)
        self.worker.dispatch()

    def go(self) -> None:
        """Poll and run until there is nothing to do."""
        while True:
            self.poll()
            if not self.poller.found and not self.turns.ready:
                return
            self.run()

    def sweep(self) -> None:
        """What the reactor does once a second."""
        now = self.lane.tick()
        for connection in list(self.owners):
            if connection.overdue(now):
                connection.expire(now)

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        self.sweep()

    def close(self) -> None:
        for connection in list(self.owners):
            connection.cut()
        self.run()
        for client in self._clients:
            client.socket.close()
        self.lane.close()


class Client:
    """The other end of a connection."""

    def __init__(self, sock: socket.socket, connection: FastConnection) -> None:
        self.socket, self.connection = sock, connection
        sock.settimeout(PATIENCE)

    def send(self, *requests: bytes) -> None:
        self.socket.sendall(b"".join(requests))

    def received(self) -> bytes:
        """What has come until now."""
        data = b""
        self.socket.setblocking(False)
        try:
            while piece := self.socket.recv(1 << 20):
                data += piece
        except BlockingIOError:
            pass
        finally:
            self.socket.settimeout(PATIENCE)
        return data

    def rest(self) -> bytes:
        """All that comes until the server closes."""
        data = b""
        while piece := self.socket.recv(1 << 20):
            data += piece
        return data

    @property
    def ended(self) -> bool:
        """Whether the server has closed, and nothing is left to read."""
        self.socket.setblocking(False)
        try:
            return self.socket.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True
        finally:
            self.socket.settimeout(PATIENCE)


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """A connection over the loopback interface: the server's end, the client's."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        theirs = socket.create_connection(listening.getsockname())
        ours, _ = listening.accept()
    for end in (ours, theirs):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ours, theirs


def get(path: str = "/", *fields: str, method: str = "GET", body: bytes = b"", version: str = "1.1") -> bytes:
    """A request."""
    lines = [f"{method} {path} HTTP/{version}", "Host: localhost", *fields, *([f"Content-Length: {len(body)}"] if body else [])]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answers(data: bytes) -> list[Answer]:
    """The responses in ``data``, which must be whole."""
    found = []
    while data:
        head, end, data = data.partition(b"\r\n\r\n")
        assert end, f"half a head: {head!r}"
        line, *lines = head.decode("latin-1").split("\r\n")
        version, status, _ = line.split(" ", 2)
        assert version == "HTTP/1.1"
        headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in lines)}
        if int(status) < 200:
            body = b""
        elif headers.get("transfer-encoding") == "chunked":
            body, data = _unchunk(data)
        else:
            size = int(headers["content-length"])
            assert len(data) >= size, f"{len(data)} of {size} bytes"
            body, data = data[:size], data[size:]
        found.append(Answer(int(status), headers, body))
    return found


def _unchunk(data: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        size, end, data = data.partition(b"\r\n")
        assert end
        count = int(size, 16)
        assert data[count : count + 2] == b"\r\n"
        body, data = body + data[:count], data[count + 2 :]
        if not count:
            return body, data


def bodies(data: bytes) -> list[str]:
    """Those of the responses in ``data``."""
    return [answer.body.decode() for answer in answers(data)]


def eventually(condition: Callable[[], bool]) -> None:
    """Look until it is so, for `PATIENCE` seconds: for what the kernel or another thread does soon."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def descriptors() -> set[str]:
    """Those of this process, with what they are."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one of this directory
            found.add(f"{fd} {os.readlink(f'/proc/self/fd/{fd}')}")
    return found


def echo(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """Answers with method, path and body."""
    body = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} ".encode() + environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
