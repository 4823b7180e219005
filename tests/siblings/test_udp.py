from __future__ import annotations

import pytest
from sibling_house import House
from twisted.internet.address import IPv4Address

from hendrix.errors import ConfigurationError
from hendrix.hey_joe import branch
from hendrix.hey_joe.branch import NoHub
from hendrix.siblings.udp import make_service, send


class Port:
    """Of a reactor that sends nothing."""

    def __init__(self, port, protocol, interface, listenMultiple):
        self.protocol, self.sent, self.shared = protocol, [], listenMultiple
        self.closed = False

    def getHost(self):
        return IPv4Address("UDP", "127.0.0.1", 9)

    def write(self, data, address):
        if address[0] == "nowhere":
            raise OSError("no such host")
        self.sent.append((data, address))

    def stopListening(self):
        self.closed = True


@pytest.fixture
def udp(monkeypatch):
    house = House()
    monkeypatch.setattr(branch, "current", house.branch)
    context = house.context("udp")
    house.clock.listenMulticast = lambda *args, **words: house.__dict__.setdefault("port", Port(*args, **words))
    house.service = make_service(context, 9)
    house.service.privilegedStartService()
    context.open()
    house.service.startService()
    return house


def test_datagrams_in_are_events(udp):
    udp.port.protocol.datagramReceived(b"hello", ("10.0.0.1", 5))
    udp.port.protocol.datagramReceived(b"\xff", ("10.0.0.1", 5))
    assert udp.payloads == [
        ("udp.9", {"host": "10.0.0.1", "port": 5, "text": "hello"}),
        ("udp.9", {"host": "10.0.0.1", "port": 5, "base64": "/w=="}),
    ]
    assert udp.service.describe() == "udp:127.0.0.1:9 to udp.9"


def test_a_call_sends_one(udp):
    send("10.0.0.1", 5, "é")
    send("nowhere", 5, b"")
    assert udp.port.sent == [("é".encode(), ("10.0.0.1", 5))]
    assert udp.service.numbers() == {"received": 0, "sent": 1, "failed": 1}


def test_nobody_outside_can_make_it_send(udp):
    with pytest.raises(ValueError, match="the hub's own"):
        udp.branch.publish("$sibling.udp", {})


def test_what_cannot_be_sent_is_an_error_at_once(udp, monkeypatch):
    with pytest.raises(ValueError, match="at most 65507 bytes"):
        send("10.0.0.1", 5, b"x" * 65508)
    monkeypatch.setattr(branch, "current", None)
    with pytest.raises(NoHub):
        send("10.0.0.1", 5, b"x")


def test_no_port_of_that_number():
    with pytest.raises(ConfigurationError):
        make_service(House().context(), 70000)
