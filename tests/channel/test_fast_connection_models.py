"""Who owns a connection of the fast lane, under every interleaving that matters: the real `FastConnection`, `FastLane` and `Worker`
above a model of the kernel (kernel.py), moved one step at a time (tests/threads/interleavings.py).

The socket complains when two use it at a time, when it is used after it was closed, and when bytes are sent twice or out of order.
"""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hand import Answer, answers, echo, get
from interleavings import Broken, Deque, Lock, Shared, World, explore, step, wait
from kernel import READ, Kernel, ModelLane

import hendrix.channel.fast_connection
from hendrix.channel.fast_connection import FastConnection
from hendrix.channel.site import Limits, Site
from hendrix.crosstown.dispatcher import Dispatcher
from hendrix.threads.worker import Job, Worker
from hendrix.wire.response import Stamp
from hendrix.wsgi.environ import base_environ


class Socket:
    """The server's end. The client's is `come`, `leave` and ``sent``."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.fd, self.file = kernel.open()
        self.inbox: deque[bytes] = deque()
        self.sent = b""
        self.used = self.closed = self.cut = False

    def fileno(self) -> int:
        return self.fd

    def come(self, data: bytes) -> None:
        step()
        self.inbox.append(data)
        self.file.input += 1

    def _use(self) -> None:
        assert not self.used, "two use it"
        assert not self.closed, "used after it was closed"
        self.used = True
        step()
        self.used = False

    def recv(self, size: int, flags: int) -> bytes:
        self._use()
        if not self.inbox:
            raise BlockingIOError
        if self.inbox[0] == b"":
            return b""
        data = b""
        while self.inbox and self.inbox[0]:  # all there is, as the kernel does
            self.file.input -= 1
            data += self.inbox.popleft()
        return data

    def send(self, data: bytes, flags: int) -> int:
        self._use()
        if self.cut:
            raise BrokenPipeError
        self.sent += data
        return len(data)

    def shutdown(self, how: int) -> None:
        step()
        if how == socket.SHUT_RDWR:  # of the reactor, that does not own it
            self.cut = True
        elif not self.closed:
            self._use()
        self.inbox.append(b"")
        self.file.input += 1

    def setsockopt(self, *args: object) -> None:
        self._use()

    def close(self) -> None:
        self._use()
        self.closed = True
        self.kernel.close(self.fd)


class Turns:
    """A crew of one worker, who sleeps until there is a job or an event."""

    def __init__(self, lane: ModelLane, kernel: Kernel) -> None:
        self.lane, self.kernel = lane, kernel
        self.ready: deque[Job] = Deque()
        self.worker = Worker("worker", lambda: 0.0)
        self.worker.held = Deque()
        self.worker.sending = Lock()  # type: ignore[assignment]

    def enqueue(self, job: Job) -> None:
        self.ready.append(job)

    submit = enqueue

    def work(self) -> None:
        """The body of the worker's thread."""
        ready = self.ready
        while True:
            wait(lambda: deque.__len__(ready) > 0 or self.kernel.has_events())
            if self.kernel.has_events():
                self.lane.poll(0, 1)
            with contextlib.suppress(IndexError):  # the other worker was quicker
                ready.popleft().run(self.worker)
            self.worker.dispatch()


class ModelConnection(FastConnection):
    leaving = Shared()
    draining = Shared()


class Scene:
    """One connection, and what happens to it."""

    def __init__(self, world: World, lane_class: type[ModelLane], application: Callable[..., Iterable[bytes]] = echo) -> None:
        kernel = Kernel()
        self.lane = lane_class(kernel)
        self.turns = Turns(self.lane, kernel)
        self.lane.crew = self.turns  # type: ignore[assignment]
        base = base_environ("localhost", "80", "http", multiprocess=False)
        dispatcher = Dispatcher(self.turns, 1)
        site = Site(application, base, Limits(header_timeout=10), Stamp(""), dispatcher, clock=lambda: 0.0)
        self.socket = Socket(kernel)
        self.owners: set[FastConnection] = set()
        self.connection = ModelConnection(self.lane, site, self.socket, ("", ""), self.owners)  # type: ignore[arg-type]
        self.connection._asked = READ
        kernel.interest[self.socket.file] = (self.socket.fd, READ)
        dict.__setitem__(self.lane._armed, self.socket.fd, self.connection)
        world.spawn("worker", self.turns.work)

    def answers(self) -> list[Answer]:
        return answers(self.socket.sent)

    def ended(self) -> bool:
        return self.socket.closed and not self.owners


LaneClass = type[ModelLane]


@pytest.fixture(autouse=True)
def _all_is_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of a socket has no queue in the kernel to ask about."""
    monkeypatch.setattr(hendrix.channel.fast_connection, "unsent", lambda sock: 0)


def draining(lane_class: LaneClass) -> Callable[[World], None]:
    """Requests come, and the reactor drains: twice, as it does again and again."""

    def scenario(world: World) -> None:
        scene = Scene(world, lane_class)

        def reactor() -> None:
            scene.connection.drain()
            scene.connection.drain()

        world.spawn("client", lambda: scene.socket.come(get("/1") + get("/2")))
        world.spawn("reactor", reactor)
        world.run()
        # A further step of the drain: until then it may wait for its input, but it has not lost any.
        world.spawn("reactor again", scene.connection.drain)
        world.run()
        assert scene.ended(), "not closed"
        read = not any(scene.socket.inbox)
        if read and scene.socket.sent:
            first, second = scene.answers()
            assert (first.body, first.closes) == (b"GET /1 ", False)
            assert second.body == b"GET /2 "

    return scenario


def test_what_was_read_is_answered_once_and_the_last_says_close() -> None:
    assert explore(draining(ModelLane)) > 100


def expiring(lane_class: LaneClass) -> Callable[[World], None]:
    """The rest of a request comes just at its deadline."""

    def scenario(world: World) -> None:
        scene = Scene(world, lane_class)
        start, rest = get("/late")[:20], get("/late")[20:]
        scene.socket.inbox.append(start)
        scene.socket.file.input = 1
        world.run()
        assert scene.socket.sent == b""
        scene.lane.now = 11.0

        def reactor() -> None:
            if scene.connection.overdue(11.0):
                scene.connection.expire(11.0)

        world.spawn("client", lambda: scene.socket.come(rest))
        world.spawn("reactor", reactor)
        world.run()
        (answer,) = scene.answers()
        assert answer.status in (200, 408)
        world.spawn("client leaves", lambda: scene.socket.come(b""))
        world.run()
        assert scene.ended(), "not closed"

    return scenario


def test_a_late_request_has_one_answer() -> None:
    assert explore(expiring(ModelLane)) > 50


def cutting(lane_class: LaneClass) -> Callable[[World], None]:
    """A request comes, and the reactor cuts the connection."""

    def scenario(world: World) -> None:
        scene = Scene(world, lane_class)
        world.spawn("client", lambda: scene.socket.come(get("/1")))
        world.spawn("reactor", scene.connection.cut)
        world.run()
        assert scene.ended(), "not closed"

    return scenario


def test_what_is_cut_is_closed_once() -> None:
    assert explore(cutting(ModelLane)) > 50


class LooksThenTakes(ModelLane):
    def claim(self, holder: Any, fd: int) -> bool:
        if self._armed.get(fd) is not holder:
            return False
        self._armed.pop(fd, None)
        return True


@pytest.mark.parametrize("scenario", [draining, expiring, cutting])
def test_who_takes_without_the_baton_is_found_out(scenario: Callable[[LaneClass], Callable[[World], None]]) -> None:
    with pytest.raises(Broken):
        explore(scenario(LooksThenTakes))


def closing_late(application: Callable[..., Iterable[bytes]]) -> Callable[[World], None]:
    """The application is slow to close. The monitor sends its answer, and the connection goes on without it."""

    def scenario(world: World) -> None:
        scene = Scene(world, ModelLane, application)
        scene.socket.inbox.append(get("/1"))
        scene.socket.file.input = 1
        other = Turns(scene.lane, scene.turns.kernel)
        other.ready = scene.turns.ready  # a second worker, for the next request

        def client() -> None:
            wait(lambda: bool(scene.socket.sent))
            scene.socket.come(get("/2"))

        world.spawn("monitor", scene.turns.worker.dispatch_for_it)
        world.spawn("client", client)
        world.spawn("other worker", other.work)
        world.run()
        assert [answer.body for answer in scene.answers()] == [b"GET /1 ", b"GET /2 "]

    return scenario


class SlowToClose:
    """What an application returns."""

    def __init__(self, body: Iterable[bytes]) -> None:
        self._body = list(body)

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Any:
        return iter(self._body)

    def close(self) -> None:
        step()


def slow(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    return SlowToClose(echo(environ, start_response))


def test_a_connection_goes_on_while_its_last_answer_is_closed() -> None:
    assert explore(closing_late(slow)) > 50
