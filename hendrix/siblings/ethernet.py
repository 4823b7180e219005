"""The sibling ethernet: raw frames of a network interface, in and out."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from typing import Any, SupportsBytes

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor, IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from hendrix.errors import ConfigurationError
from hendrix.hey_joe.declared import Event
from hendrix.hey_joe.topics import check_topic
from hendrix.siblings.calls import tell, told
from hendrix.siblings.context import Context
from hendrix.siblings.paced import PacedQueue
from hendrix.siblings.packet_socket import LARGEST, OUTGOING, PASSING, PacketSocket

# Bytes of two addresses and an ethertype; and of a frame that is sent, at least (IEEE 802.3: 64 with the checksum, which the card adds).
HEADER, SHORTEST = 14, 60

# Bytes of frames that may wait to be sent.
WAITING = 16 << 20

# Frames that are read before others have their turn on the reactor.
BATCH = 64

# Seconds between two looks at an interface that is not up; and until we try again where the kernel had no room for a frame.
LOOK, FULL = 1.0, 0.05

# Of a frame, as packet(7) names them, without "PACKET_".
KINDS = {0: "host", 1: "broadcast", 2: "multicast", 3: "otherhost", 4: "outgoing"}


def make_service(
    context: Context, interface: str, ethertype: int = 0, topic: str = "", promiscuous: bool = False, outgoing: bool = False,
    rate: float = 1000.0,
) -> Service:  # fmt: skip
    """Raw frames in become events of the hub; hendrix.siblings.ethernet.send() sends from any process of the site.

    :param interface: such as eth0.
    :param ethertype: of the frames to publish, such as 0x88B5; 0 for all.
    :param topic: on which they are published; ethernet.INTERFACE if there is none.
    :param promiscuous: whether frames for others are published too.
    :param outgoing: whether what this machine sends is published too.
    :param rate: frames to send each second at most; 0 for as many as the interface takes.
    """
    if ethertype and not 0x0600 <= ethertype <= 0xFFFF:
        raise ConfigurationError(f"ethertype={ethertype:#x}: give one from 0x0600 to 0xFFFF, or 0 for all")
    if not 0 <= rate < float("inf"):
        raise ConfigurationError(f"rate={rate}: give a number of frames a second, or 0")
    topic = check_topic(topic or f"ethernet.{re.sub(r'[^a-zA-Z0-9_:@/~+=,.-]', '=', interface)}")
    return Ethernet(context, PacketSocket(interface, ethertype, promiscuous, outgoing), topic, outgoing, rate)


def send(frame: SupportsBytes | bytes | bytearray | memoryview, sibling: str = "ethernet") -> None:
    """Send a frame. Any thread of any process of the site; returns at once.

    :param frame: from the destination's address on, without the checksum: bytes, or what bytes() takes, as a packet of scapy. What is
        shorter than 60 bytes is padded with zeros.
    :param sibling: its name in the tree.
    :raises NoHub: this is no process of the site.
    :raises ValueError: it is too short or too long for a frame.
    """
    if isinstance(frame, int):
        raise TypeError("a frame is made of bytes, not of a number")
    content = bytes(frame)
    if not HEADER <= len(content) <= LARGEST:
        raise ValueError(f"a frame has {HEADER} to {LARGEST} bytes, and this has {len(content)}")
    tell(sibling, b64encode(content).decode())


def address(six: bytes) -> str:
    """As people write it: ``02:00:00:00:00:01``."""
    return six.hex(":")


@implementer(IReadDescriptor, IWriteDescriptor)
class Ethernet(Service):
    """The interface, as the reactor and the hub see it: it lives on whatever the interface does, for the socket may not be opened twice."""

    def __init__(self, context: Context, packets: PacketSocket, topic: str, outgoing: bool, rate: float) -> None:
        self._context, self._reactor, self._packets = context, context.reactor, packets
        self._topic, self._outgoing = topic, outgoing
        self._queue = PacedQueue(rate, WAITING, context.reactor.seconds)
        self._open = self._up = False
        self._looking: Any = None
        self._sending: Any = None
        self._emptied: Deferred[None] | None = None
        self._received = self._sent = self._failed = 0
        told(context, self._send)

    # The tree's side.

    def describe(self) -> str:
        if not self._open:
            return "closed"
        counts = f"{self._received} received, {self._sent} sent, {self._packets.dropped()} dropped by the kernel"
        return f"{self._packets.interface} {self._packets.state()}, to {self._topic}: {counts}"

    def numbers(self) -> dict[str, int | float]:
        dropped = self._packets.dropped() if self._open else 0
        return {
            "received": self._received, "sent": self._sent, "dropped": dropped, "failed": self._failed, "waiting": len(self._queue),
        }  # fmt: skip

    def privilegedStartService(self) -> None:
        self._packets.open()
        self._open = True

    def startService(self) -> None:
        super().startService()
        self._reactor.addReader(self)
        self._up = True
        self._look()
        self._flush()

    def stopService(self) -> Deferred[None] | None:
        """Fires when what waits to be sent has been."""
        super().stopService()
        if not self._open:
            return None
        if self._up and self._queue:
            self._emptied = Deferred(lambda _: self._close())
            return self._emptied
        self._close()
        return None

    def hurry(self) -> None:
        """What waits is not sent any more."""
        if self._emptied is not None:
            self._finish()

    def _finish(self) -> None:
        emptied, self._emptied = self._emptied, None
        self._close()
        if emptied is not None:
            emptied.callback(None)

    def _close(self) -> None:
        self._left_out(self._queue.clear())
        self._reactor.removeReader(self)
        self._reactor.removeWriter(self)
        for call in (self._looking, self._sending):
            if call is not None and call.active():
                call.cancel()
        self._open = False
        self._packets.close()

    def _left_out(self, count: int) -> None:
        self._failed += count
        if count:
            self._context.log.warn("{count} frames to {interface} were not sent", count=count, interface=self._packets.interface)

    # The reactor's side.

    def fileno(self) -> int:
        return self._packets.fileno()

    def logPrefix(self) -> str:
        return self._context.name

    def doRead(self) -> None:
        for _ in range(BATCH):
            try:
                received = self._packets.receive()
            except OSError:  # it is down: told once
                self._stumbled()
                return
            if received is None:
                return
            self._received += 1
            self._publish(*received)

    def doWrite(self) -> None:
        self._flush()

    def connectionLost(self, reason: Failure) -> None:
        """So some reactors take it when the interface goes down."""
        self._stumbled()

    def _stumbled(self) -> None:
        """The socket is as good as before, and is read again: what saw an error on it, a reactor or libuv, watches it no more."""
        if self._open:
            self._look()
        if self._open:
            self._reactor.removeReader(self)
            self._reactor.addReader(self)
            self._flush()

    # The interface's side.

    def _look(self) -> None:
        """See what has become of the interface, and go on looking while it is not up."""
        state = self._packets.attach()
        up, self._up = self._up, state in ("up", "no carrier")
        if self._up != up:
            words = "{interface} is up again" if self._up else "{interface} is {state}: waiting until it is up"
            self._context.log.warn(words, interface=self._packets.interface, state=state)
        if self._up:
            if not up:
                self._flush()
        elif self._emptied is not None:
            self._finish()
        elif self._looking is None:
            self._looking = self._reactor.callLater(LOOK, self._look_again)

    def _look_again(self) -> None:
        self._looking = None
        self._look()

    def _publish(self, frame: bytes, kind: int) -> None:
        if len(frame) < HEADER:
            return
        self._context.publish(
            self._topic,
            {
                "interface": self._packets.interface, "destination": address(frame[:6]), "source": address(frame[6:12]),
                "ethertype": int.from_bytes(frame[12:14], "big"), "kind": KINDS.get(kind, str(kind)), "length": len(frame),
                "base64": b64encode(frame).decode(),
            },
        )  # fmt: skip

    # What goes out.

    def _send(self, event: Event) -> None:
        frame = b64decode(event.payload).ljust(SHORTEST, b"\0")
        if not self._open or not self._queue.put(frame):
            self._failed += 1
        elif self._sending is None:
            self._flush()

    def _flush(self) -> None:
        """Send what may go now, and come back for the rest."""
        if self._sending is not None and self._sending.active():
            self._sending.cancel()
        self._sending = None
        if not self._open or not self._up:
            return
        self._reactor.removeWriter(self)
        while (frame := self._queue.next()) is not None:
            try:
                self._packets.send(frame)
            except BlockingIOError:
                self._reactor.addWriter(self)
                return
            except OSError as error:
                if error.errno in PASSING:
                    self._look()
                    self._later(FULL)
                    return
                self._failed += 1
                self._context.log.warn("cannot send a frame of {length} bytes: {error}", length=len(frame), error=error)
                self._queue.take()
                continue
            self._queue.take()
            self._sent += 1
            if self._outgoing:  # the kernel shows a socket what all others send
                self._publish(frame, OUTGOING)
        if self._queue:
            self._later(self._queue.pause())
        elif self._emptied is not None:
            self._finish()

    def _later(self, seconds: float) -> None:
        if self._up:
            self._sending = self._reactor.callLater(seconds, self._flush)
