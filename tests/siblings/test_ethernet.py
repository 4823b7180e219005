"""The sibling without a network: what it does when the kernel says no. With one, it is in tests/system."""

from __future__ import annotations

import errno
import subprocess
import sys
from base64 import b64encode

import pytest
from sibling_house import House

from hendrix.errors import ConfigurationError
from hendrix.hey_joe import branch
from hendrix.hey_joe.branch import NoHub
from hendrix.siblings.ethernet import FULL, LOOK, WAITING, Ethernet, make_service, send
from hendrix.siblings.packet_socket import LARGEST

HEAD = b"\xff" * 6 + b"\2\0\0\0\0\1" + b"\x88\xb5"


class Packets:
    """Of a kernel that sends nothing, and fails as it is told."""

    interface = "eth0"

    def __init__(self):
        self.sent, self.incoming, self.fails, self.is_now, self.closed = [], [], [], "up", False

    def open(self):
        pass

    def close(self):
        self.closed = True

    def state(self):
        return self.is_now

    attach = state

    def receive(self):
        item = self.incoming.pop(0) if self.incoming else None
        if isinstance(item, Exception):
            raise item
        return item

    def send(self, frame):
        if self.fails:
            raise self.fails.pop(0)
        self.sent.append(frame)

    def dropped(self):
        return 3


@pytest.fixture
def ethernet(monkeypatch):
    house = House()
    monkeypatch.setattr(branch, "current", house.branch)
    house.readers, house.writers = set(), set()
    house.clock.addReader, house.clock.removeReader = house.readers.add, house.readers.discard
    house.clock.addWriter, house.clock.removeWriter = house.writers.add, house.writers.discard
    context = house.context("ethernet")
    house.packets = Packets()
    house.service = Ethernet(context, house.packets, "ethernet.eth0", False, 10.0)
    house.service.privilegedStartService()
    context.open()
    house.service.startService()
    return house


def test_a_frame_in_is_an_event(ethernet):
    frame = HEAD + b"hello"
    ethernet.packets.incoming = [(frame, 1), (b"no frame", 0), OSError(errno.ENETDOWN, "")]
    ethernet.service.doRead()
    assert ethernet.payloads == [
        (
            "ethernet.eth0",
            {
                "interface": "eth0", "destination": "ff:ff:ff:ff:ff:ff", "source": "02:00:00:00:00:01", "ethertype": 0x88B5,
                "kind": "broadcast", "length": 19, "base64": b64encode(frame).decode(),
            },
        )
    ]  # fmt: skip
    assert ethernet.service.describe() == "eth0 up, to ethernet.eth0: 2 received, 0 sent, 3 dropped by the kernel"


def test_others_have_their_turn(ethernet):
    ethernet.packets.incoming = [(HEAD, 0)] * 100
    ethernet.service.doRead()
    assert len(ethernet.packets.incoming) == 36


def test_frames_are_padded_and_paced(ethernet):
    for _ in range(3):
        send(HEAD + b"hello")
    assert ethernet.packets.sent == [HEAD + b"hello" + bytes(41)]
    for count in (1, 2, 3, 3):
        assert len(ethernet.packets.sent) == count
        ethernet.clock.advance(0.1001)
    assert ethernet.service.numbers() == {"received": 0, "sent": 3, "dropped": 3, "failed": 0, "waiting": 0}


def test_a_full_socket_is_waited_for(ethernet):
    ethernet.packets.fails = [BlockingIOError()]
    send(HEAD)
    assert ethernet.writers == {ethernet.service}
    ethernet.service.doWrite()
    assert (len(ethernet.packets.sent), ethernet.writers) == (1, set())


def test_a_full_interface_is_tried_again(ethernet):
    ethernet.packets.fails = [OSError(errno.ENOBUFS, "")] * 2
    send(HEAD)
    ethernet.clock.pump([FULL, FULL])
    assert len(ethernet.packets.sent) == 1


@pytest.mark.parametrize("state", ["down", "missing"])
def test_frames_wait_for_an_interface_that_is_not_there(ethernet, state):
    ethernet.packets.fails, ethernet.packets.is_now = [OSError(errno.ENETDOWN, "")], state
    send(HEAD)
    ethernet.clock.pump([LOOK] * 3)
    assert ethernet.service.numbers()["waiting"] == 1
    assert len(ethernet.clock.getDelayedCalls()) == 1
    ethernet.packets.is_now = "up"
    ethernet.clock.advance(LOOK)
    assert len(ethernet.packets.sent) == 1
    assert ethernet.clock.getDelayedCalls() == []


def test_the_queue_is_bounded(ethernet):
    ethernet.packets.is_now = "down"
    ethernet.service.connectionLost(None)
    for _ in range(WAITING // LARGEST + 3):
        send(HEAD.ljust(LARGEST))
    numbers = ethernet.service.numbers()
    assert (numbers["waiting"], numbers["failed"]) == (WAITING // LARGEST, 3)


def test_a_reactor_that_takes_it_for_lost_reads_on(ethernet):
    ethernet.readers.clear()
    ethernet.service.connectionLost(None)
    assert ethernet.readers == {ethernet.service}


def test_a_frame_that_cannot_be_sent_holds_up_no_other(ethernet):
    ethernet.packets.fails = [OSError(errno.EMSGSIZE, "too long")]
    send(HEAD)
    ethernet.clock.advance(1)
    send(HEAD)
    assert len(ethernet.packets.sent) == 1
    assert ethernet.service.numbers()["failed"] == 1


class TestTheEnd:
    def test_what_waits_is_sent(self, ethernet):
        send(HEAD)
        send(HEAD)
        ended = []
        ethernet.service.stopService().addCallback(ended.append)
        assert (ended, ethernet.packets.closed) == ([], False)
        ethernet.clock.advance(0.2)
        assert (len(ethernet.packets.sent), ended, ethernet.packets.closed) == (2, [None], True)
        assert (ethernet.readers, ethernet.clock.getDelayedCalls()) == (set(), [])
        assert ethernet.service.describe() == "closed"

    def test_unless_the_interface_is_down(self, ethernet):
        ethernet.packets.is_now = "down"
        ethernet.service.connectionLost(None)
        send(HEAD)
        assert ethernet.service.stopService() is None
        assert (ethernet.packets.closed, ethernet.clock.getDelayedCalls()) == (True, [])

    def test_or_goes_down_meanwhile(self, ethernet):
        send(HEAD)
        send(HEAD)
        ended = []
        ethernet.service.stopService().addCallback(ended.append)
        ethernet.packets.is_now = "down"
        ethernet.service.connectionLost(None)
        assert (ended, ethernet.packets.closed, ethernet.readers) == ([None], True, set())

    @pytest.mark.parametrize("how", ["hurry", "cancel"])
    def test_or_there_is_no_time(self, ethernet, how):
        send(HEAD)
        send(HEAD)
        stopping = ethernet.service.stopService()
        ended = []
        stopping.addBoth(ended.append)
        stopping.cancel() if how == "cancel" else ethernet.service.hurry()
        assert (len(ended), ethernet.packets.closed, len(ethernet.packets.sent)) == (1, True, 1)
        assert ethernet.clock.getDelayedCalls() == []


class TestSend:
    def test_whatever_bytes_takes(self, ethernet):
        class Packet:
            def __bytes__(self):
                return HEAD

        send(Packet())
        assert ethernet.packets.sent == [HEAD.ljust(60, b"\0")]

    @pytest.mark.parametrize("wrong", [b"x" * 13, b"x" * (LARGEST + 1)])
    def test_what_is_no_frame_is_an_error_at_once(self, ethernet, wrong):
        with pytest.raises(ValueError, match="14 to 65550 bytes"):
            send(wrong)

    @pytest.mark.parametrize("wrong", [60, "text of more than fourteen letters"])
    def test_what_is_no_bytes(self, ethernet, wrong):
        with pytest.raises(TypeError):
            send(wrong)

    def test_without_a_site(self, ethernet, monkeypatch):
        monkeypatch.setattr(branch, "current", None)
        with pytest.raises(NoHub):
            send(HEAD)

    def test_it_installs_no_reactor(self):
        code = "import sys; from hendrix.siblings import ethernet; sys.exit('twisted.internet.reactor' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"ethertype": 0x5FF}, "ethertype=0x5ff: give one from 0x0600"),
        ({"ethertype": 0x10000}, "0 for all"),
        ({"ethertype": -1}, "ethertype=-0x1"),
        ({"rate": -1.0}, "rate=-1.0: give a number"),
        ({"rate": float("nan")}, "rate=nan"),
        ({"rate": float("inf")}, "rate=inf"),
        ({"topic": "a b"}, "a b"),
    ],
)
def test_a_bad_value(keys, words):
    with pytest.raises((ConfigurationError, ValueError), match=words):
        make_service(House().context(), "eth0", **keys)


def test_an_interface_whose_name_is_no_topic():
    assert make_service(House().context(), "br-lan.7@x y")._topic == "ethernet.br-lan.7@x=y"
