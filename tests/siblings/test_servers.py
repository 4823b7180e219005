"""Other servers on endpoints of their own, in this process."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from twisted.internet.defer import maybeDeferred
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.wire import Echo
from zope.interface import implementer

from hendrix.errors import ConfigurationError
from hendrix.options import Settings
from hendrix.siblings.servers import Server, servers_of

PATIENCE = 30.0
echo = Factory.forProtocol(Echo)
TCP = "tcp:0:interface=127.0.0.1"


def make():
    return Factory.forProtocol(Echo)


@implementer(IProtocolFactory)
class Mine(Factory):
    noisy = False
    started = 0

    def doStart(self):
        self.started += 1

    def doStop(self):
        self.started -= 1

    def buildProtocol(self, addr):
        return None


class Stubborn(Protocol):
    """Does not go."""

    def connectionMade(self):
        self.transport.write(bytes(64 << 20))


def stubborn():
    return Factory.forProtocol(Stubborn)


number = 42


class House:
    def __init__(self, *texts, **options):
        self.reactor = EPollReactor()
        self.node = servers_of(self.reactor, Settings(serve=texts, **options))

    def turn_until(self, condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline
            self.reactor.runUntilCurrent()
            self.reactor.doIteration(0.001)

    def wait(self, call):
        results = []
        maybeDeferred(call).addBoth(results.append)
        self.turn_until(lambda: results)
        if hasattr(results[0], "raiseException"):
            results[0].raiseException()

    def port(self, index=0):
        return list(self.node)[index]._sockets.listeners[0].port.getHost().port

    def __enter__(self):
        self.wait(self.node.startService)
        return self

    def __exit__(self, *error):
        self.wait(self.node.stopService)

    def say(self, data, index=0):
        """What comes back; "" for nothing."""
        answers = []

        def run():
            with socket.create_connection(("127.0.0.1", self.port(index)), PATIENCE) as connection:
                try:
                    connection.sendall(data)
                    answers.append(connection.recv(100))
                except ConnectionResetError:
                    answers.append(b"")

        thread = threading.Thread(target=run)
        thread.start()
        self.turn_until(lambda: answers)
        thread.join(PATIENCE)
        return answers[0]


@pytest.mark.parametrize("name", ["echo", "make", "make()"])
def test_a_name_may_stand_for_a_factory_or_for_what_makes_one(name):
    with House(f"{TCP}=test_servers.{name}") as house:
        [server] = house.node
        assert (server.name, server.describe()) == (TCP, f"test_servers.{name} on tcp:127.0.0.1:{house.port()}")
        assert house.say(b"hello") == b"hello"
        house.turn_until(lambda: server.numbers() == {"connections": 0})
        port = house.port()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), PATIENCE)


def test_a_factory_is_started_and_stopped_and_may_refuse():
    with House(f"{TCP}=test_servers.Mine", f"{TCP}=test_servers.echo") as house:
        assert [server.name for server in house.node] == [TCP, f"{TCP} (2)"]
        [wrapped, _] = [server._clients.wrappedFactory for server in house.node]
        assert wrapped.started == 1
        assert house.say(b"hello") == b""
        assert house.say(b"hello", 1) == b"hello"
    assert wrapped.started == 0


def test_a_client_that_does_not_go_is_cut_after_the_grace():
    with House(f"{TCP}=test_servers.stubborn", grace=0.1) as house:
        connection = socket.create_connection(("127.0.0.1", house.port()), PATIENCE)
        [server] = house.node
        house.turn_until(lambda: server.numbers() == {"connections": 1})
        clients = server._clients
    house.turn_until(lambda: not clients.protocols)
    connection.close()


def test_a_client_that_comes_before_the_factory_is_there_waits():
    house = House(f"{TCP}=test_servers.echo")
    house.node.privilegedStartService()
    with socket.create_connection(("127.0.0.1", house.port()), PATIENCE) as connection:
        connection.sendall(b"early")
        for _ in range(20):
            house.reactor.doIteration(0.001)
        with house:
            house.turn_until(lambda: next(iter(house.node))._connections)
            answers = []
            thread = threading.Thread(target=lambda: answers.append(connection.recv(100)))
            thread.start()
            house.turn_until(lambda: answers)
            assert answers == [b"early"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("tcp:0=test_servers.number", "that is no factory of protocols, and makes none; name an IProtocolFactory, its class or what "),
        ("tcp:0=test_servers.Stubborn", "that is no factory of protocols, and makes none; name an IProtocolFactory"),
        ("tcp:0=test_servers.numbr", "module test_servers has no attribute 'numbr'; did you mean number?"),
        ("tcp:0=no_such_module.x", "there is no module 'no_such_module'"),
    ],
)
def test_what_cannot_be_one_is_one_line(text, line):
    with pytest.raises(ConfigurationError, match=f"^--serve={text}: {line}"):
        Server(EPollReactor(), text, (), 1)._factory()


@pytest.mark.parametrize("text", ["tcp:0", "tcp:0=", "tcp:0:interface=127.0.0.1", "=a.b", "tcp:0=a", "tcp:0=a b.c"])
def test_what_is_not_written_so_is_one_line(text):
    with pytest.raises(ConfigurationError, match=f"^--serve={text}: give (an endpoint, = and the name of a factory|printable text)"):
        Settings(serve=[text])


def test_an_endpoint_that_cannot_be_bound_names_the_option():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        text = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1=test_servers.echo"
        with pytest.raises(ConfigurationError, match=f"^--serve={text}: Address already in use; stop what listens there"):
            House(text).node.privilegedStartService()
