"""Requests that take too long, where a test can step between the two threads."""

from __future__ import annotations

import socket
import threading
import time
from types import SimpleNamespace
from typing import Any

from hendrix.channel.fast_connection import FastConnection
from hendrix.channel.overtime import Overtime
from hendrix.threads.worker import Worker
from hendrix.wire.response import Stamp


class Late:
    """A response whose thread begins to send at the worst moment: when it has just been asked whether it has begun."""

    title = "GET /slow"
    given_up = False
    heard = ""

    def __init__(self, connection: FastConnection, begun: bool) -> None:
        self._connection, self._begun = connection, begun

    @property
    def begun(self) -> bool:
        if not self._begun:
            self._connection._transmit(b"the answer")
        return self._begun


def pair() -> tuple[FastConnection, socket.socket]:
    """A connection, and its client."""
    ours, client = socket.socketpair()
    client.settimeout(30)
    lane: Any = SimpleNamespace(now=0.0)
    site: Any = SimpleNamespace(stamp=Stamp("hendrix"))
    return FastConnection(lane, site, ours, ("", ""), set()), client


def heard(client: socket.socket) -> bytes:
    data = b""
    while piece := client.recv(65536):
        data += piece
    return data


def test_what_the_application_sends_after_it_was_given_up_goes_nowhere() -> None:
    connection, client = pair()
    with client:
        connection.response = response = Late(connection, begun=False)  # type: ignore[assignment]
        left = connection.give_up(response, b"too long")  # type: ignore[arg-type]
        assert left is not None
        connection._transmit(b"more")
        left.close()
        assert heard(client) == b"too long"
        assert not connection.open
        connection._socket.close()


def test_what_has_begun_is_cut_and_stays_with_its_thread() -> None:
    connection, client = pair()
    with client:
        connection.response = response = Late(connection, begun=True)  # type: ignore[assignment]
        connection._transmit(b"half of")
        assert connection.give_up(response, b"too long") is None  # type: ignore[arg-type]
        assert heard(client) == b"half of"
        connection._transmit(b" it")
        assert not connection.open
        connection._socket.close()


def test_the_next_request_of_the_connection_is_not_given_up_for_the_one_before() -> None:
    connection, client = pair()
    with client:
        before, connection.response = Late(connection, begun=True), Late(connection, begun=True)  # type: ignore[assignment]
        assert connection.give_up(before, b"too long") is None  # type: ignore[arg-type]
        connection._transmit(b"an answer")
        assert client.recv(100) == b"an answer"
        connection._socket.close()


class Job:
    def __init__(self, response: Any) -> None:
        self.response = response
        self.given_up: list[bytes] = []

    def run(self, worker: Worker) -> None: ...

    def give_up(self, response: Any, answer: bytes) -> None:
        self.given_up.append(answer)


def test_each_is_given_up_once_and_only_when_it_has_had_its_time() -> None:
    now = [100.0]
    worker = Worker("crew-1", time.monotonic)
    worker.ident = threading.get_ident()
    response: Any = SimpleNamespace(title="GET /", given_up=False, begun=False, heard="")
    job = Job(response)
    worker.job, worker.noticed = job, (worker.jobs, 100.0)
    overtime = Overtime(5, lambda *args: None, clock=lambda: now[0])
    for now[0], times in ((104.0, 0), (105.5, 1), (200.0, 1)):
        overtime.look([worker], Stamp("hendrix"))
        assert len(job.given_up) == times
    assert job.given_up[0].startswith(b"HTTP/1.1 503 ")
    assert response.heard == "503"
    worker.jobs += 1  # another job, which nobody has noticed yet
    worker.job = other = Job(SimpleNamespace(title="GET /", given_up=False, begun=False, heard=""))
    overtime.look([worker], Stamp("hendrix"))
    assert other.given_up == []
    worker.noticed = (worker.jobs, 0.0)
    worker.job = SimpleNamespace(run=None)  # type: ignore[assignment] # a task, which is nobody's answer
    overtime.look([worker], Stamp("hendrix"))
