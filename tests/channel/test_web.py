"""Sockets, crew and web start and stop in this process, on a reactor that the test turns; nothing is left of them."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hand import PATIENCE, StartResponse, answers, descriptors, echo, eventually, get
from house import TCP, House
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.protocols import tls

import hendrix.channel.crew_service
from certificates import Certificate
from hendrix.channel.fast import FastLane
from hendrix.channel.fast_connection import FastConnection
from hendrix.channel.sockets import Sockets
from hendrix.errors import ConfigurationError

Make = Callable[..., House]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes a `House`; when the test is over, no thread and no descriptor must be left."""
    monkeypatch.setattr(tls, "_get_default_clock", lambda: houses[-1].reactor)
    threads = set(threading.enumerate())
    before = descriptors()
    houses: list[House] = []

    def build(*args: Any, **kwargs: Any) -> House:
        houses.append(House(*args, **kwargs))
        return houses[-1]

    yield build
    for house in houses:
        house.close()
    eventually(lambda: set(threading.enumerate()) <= threads)
    left = {descriptor for descriptor in descriptors() - before if not descriptor.endswith(" /dev/null")}  # Twisted keeps one in reserve
    assert not left


@pytest.fixture
def events() -> Iterator[list[str]]:
    """What is logged."""
    found: list[str] = []
    observer: ILogObserver = lambda event: found.append((event["log_format"] or "").format(**event))  # type: ignore[assignment] # noqa: E731
    globalLogPublisher.addObserver(observer)
    yield found
    globalLogPublisher.removeObserver(observer)


class Gate:
    """An application that answers when it is let."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.go_on = threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        self.entered.release()
        self.go_on.wait(PATIENCE)
        return echo(environ, start_response)


def rest(connection: socket.socket) -> bytes:
    data = b""
    while piece := connection.recv(65536):
        data += piece
    return data


# Start and stop.


def test_it_serves_and_leaves_nothing_behind(make: Make) -> None:
    house = make().start()
    assert house.get("/voodoo") == (200, b"GET /voodoo ")
    assert house.web.describe() == f"app on {house.sockets.listeners[0].address}"
    assert house.crew.describe() == "2 threads (0 busy, backlog 0)"


def test_it_serves_on_every_kind_of_endpoint(make: Make, tmp_path: Path, certificate: Certificate) -> None:
    endpoint = f"ssl:0:interface=127.0.0.1:privateKey={certificate.key}:certKey={certificate.cert}"
    house = make(listen=(TCP, f"unix:{tmp_path}/socket", endpoint, "tcp6:0:interface=\\:\\:1")).start()
    for index in range(4):
        assert house.get(f"/{index}", index) == (200, f"GET /{index} ".encode())
    assert [listener.plain for listener in house.sockets.listeners] == [True, True, False, True]
    house.stop()
    assert not (tmp_path / "socket").exists()


def test_without_one_shot_epoll_all_take_the_reactor_lane(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (hendrix.channel.crew_service, hendrix.channel.sockets):
        monkeypatch.setattr(module, "AVAILABLE", False)
    house = make().start()
    assert house.get("/macos") == (200, b"GET /macos ")
    assert house.crew.lane is None


def test_it_is_started_and_stopped_again_and_again(make: Make) -> None:
    house = make()
    for _ in range(3):
        house.start()
        assert house.get()[0] == 200
        house.stop()


def test_stopped_it_answers_no_more(make: Make) -> None:
    house = make().start()
    listener = house.sockets.listeners[0]
    _, _, port = listener.address.rpartition(":")
    house.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)))


def test_the_port_file_has_every_address(make: Make, tmp_path: Path) -> None:
    name = tmp_path / "ports"
    house = make(listen=(TCP, f"unix:{tmp_path}/socket"), port_file=str(name)).start()
    assert name.read_text().splitlines() == [listener.address for listener in house.sockets.listeners]
    assert name.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.glob(".hendrix-*")) == []


def test_a_port_file_that_cannot_be_written_is_said_in_a_line(make: Make, tmp_path: Path) -> None:
    house = make(port_file=str(tmp_path / "missing" / "ports"))
    with pytest.raises(ConfigurationError, match=r"--port-file=.*: No such file"):
        house.start()


def test_a_client_that_connects_before_the_application_is_there_waits(make: Make) -> None:
    house = make()
    house.sockets.privilegedStartService()
    with house.connect() as client:
        client.sendall(get("/early"))
        for service in (house.sockets, house.crew, house.crosstown, house.web):
            house.wait(service.startService)
        house.running = True
        data = house.call(lambda: client.recv(65536))
        assert answers(data)[0].body == b"GET /early "


def test_a_busy_port_is_said_in_a_line(make: Make) -> None:
    house = make().start()
    endpoint = f"tcp:{house.sockets.listeners[0].address.rpartition(':')[2]}:interface=127.0.0.1"
    with pytest.raises(ConfigurationError, match=f"--listen={endpoint}: Address already in use; stop what listens"):
        Sockets(house.reactor, [endpoint]).privilegedStartService()


def test_a_connection_that_cannot_be_served_is_closed(make: Make, monkeypatch: pytest.MonkeyPatch, events: list[str]) -> None:
    """As when the kernel has no memory for one more event."""
    house = make().start()

    def fail(self: FastLane, holder: object, fd: int, mask: int) -> None:
        raise OSError(28, "no space left for events")

    def knock() -> None:
        with house.connect() as client:
            client.recv(1)

    monkeypatch.setattr(FastLane, "arm_first", fail)
    with pytest.raises(ConnectionResetError):
        knock()
    monkeypatch.undo()
    assert house.get()[0] == 200
    eventually(lambda: not house.web.connections)
    assert "a new connection cannot be served" in events


# Deadlines.


def test_the_sweep_closes_what_is_overdue(make: Make) -> None:
    house = make(header_timeout=0.1).start()
    with house.connect() as client:
        client.sendall(b"GET / HT")
        assert answers(house.call(lambda: rest(client)))[0].status == 408


def test_the_sweep_closes_what_is_overdue_with_tls(make: Make, certificate: Certificate) -> None:
    endpoint = f"ssl:0:interface=127.0.0.1:privateKey={certificate.key}:certKey={certificate.cert}"
    house = make(listen=(endpoint,), header_timeout=0.1).start()

    def half() -> bytes:
        with house.connect() as client:
            client.sendall(b"GET / HT")
            return rest(client)

    assert answers(house.call(half))[0].status == 408


def test_the_sweep_survives_a_connection_that_fails(make: Make, monkeypatch: pytest.MonkeyPatch, events: list[str]) -> None:
    house = make(header_timeout=0.1).start()
    failed = threading.Event()
    expire = FastConnection.expire

    def fail_once(self: FastConnection, now: float) -> None:
        if not failed.is_set():
            failed.set()
            raise ValueError("on purpose")
        expire(self, now)

    monkeypatch.setattr(FastConnection, "expire", fail_once)
    with house.connect() as client:
        client.sendall(b"GET / HT")
        assert answers(house.call(lambda: rest(client)))[0].status == 408
    assert "closing a connection failed: this is a bug in hendrix" in events


# Drain.


def test_what_is_in_flight_is_answered_with_close_and_what_is_idle_is_closed(make: Make) -> None:
    gate = Gate()
    house = make(gate, threads=4).start()
    with house.connect() as idle, house.connect() as busy, house.connect() as fresh:
        gate.go_on.set()
        idle.sendall(get("/idle"))
        idle.recv(65536)
        gate.go_on.clear()
        gate.entered.acquire(timeout=PATIENCE)
        busy.sendall(get("/busy"))
        assert gate.entered.acquire(timeout=PATIENCE)
        stopped: list[object] = []
        house.web.stopService().addBoth(stopped.append)
        for client in (idle, fresh):
            assert house.call(lambda client=client: rest(client)) == b""  # type: ignore[misc]
        assert not stopped
        gate.go_on.set()
        (answer,) = answers(house.call(lambda: rest(busy)))
        assert (answer.body, answer.closes) == (b"GET /busy ", True)
    house.until(lambda: bool(stopped))
    assert stopped == [None]


def test_what_is_left_after_the_grace_is_logged_and_cut(make: Make, events: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hendrix.channel.crew_service, "PATIENCE", 0.01)
    gate = Gate()
    house = make(gate, grace=0.1).start()
    lane = house.crew.lane
    with house.connect() as client:
        client.sendall(get("/stuck"))
        assert gate.entered.acquire(timeout=PATIENCE)
        house.stop()
        assert client.recv(65536) == b""
    assert "cut after 0.1 s: GET /stuck" in events
    assert "1 threads are still in a job: leaving without them" in events
    gate.go_on.set()
    eventually(lambda: not any(thread.name.startswith("crew-") for thread in threading.enumerate()))
    assert lane is not None
    lane.close()  # as the end of the process does


def test_a_worker_that_accepts_is_waited_for(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The drain begins while a worker is just accepting the only connection."""
    house = make().start()
    accepting, go_on = threading.Event(), threading.Event()
    acceptor = house.web._acceptors[0]
    connected = acceptor._connected

    def slowly(sock: socket.socket, address: object) -> None:
        accepting.set()
        go_on.wait(PATIENCE)
        connected(sock, address)

    acceptor._connected = slowly
    with house.connect() as client:
        client.sendall(get("/last"))
        assert accepting.wait(PATIENCE)
        stopped: list[object] = []
        house.web.stopService().addBoth(stopped.append)
        for _ in range(20):
            house.turn()
        assert not stopped
        go_on.set()
        (answer,) = answers(house.call(lambda: rest(client)))
        assert (answer.body, answer.closes) == (b"GET /last ", True)
    house.until(lambda: bool(stopped))


def test_all_that_the_kernel_has_completed_is_accepted(make: Make) -> None:
    house = make(threads=1).start()
    lane = house.crew.lane
    assert lane is not None
    acceptor = house.web._acceptors[0]
    house.until(lambda: lane.claim(acceptor, acceptor._fd))  # nobody accepts
    clients = [house.connect() for _ in range(100)]
    for number, client in enumerate(clients):
        client.sendall(get(f"/{number}"))
    acceptor.arm()
    house.stop()
    for number, client in enumerate(clients):
        assert answers(rest(client))[0].body == f"GET /{number} ".encode()
        client.close()


def test_the_drain_survives_a_connection_that_fails(make: Make, monkeypatch: pytest.MonkeyPatch, events: list[str]) -> None:
    house = make().start()
    failed: list[object] = []
    drain = FastConnection.drain

    def fail_once(self: FastConnection) -> None:
        if not failed:
            failed.append(self)
            raise ValueError("on purpose")
        drain(self)

    monkeypatch.setattr(FastConnection, "drain", fail_once)
    with house.connect() as one, house.connect() as other:
        house.until(lambda: len(house.web.connections) == 2)
        house.stop()
        assert rest(one) == rest(other) == b""
    assert "closing a connection failed: this is a bug in hendrix" in events


def test_descriptors_are_counted_at_all() -> None:
    """The check of the fixture sees a descriptor that is left."""
    before = descriptors()
    fd = os.dup(0)
    (left,) = descriptors() - before
    assert left.startswith(f"{fd} ")
    os.close(fd)
