"""A raw socket on a network interface (packet(7), Linux): opened once, with privileges, and kept whatever becomes of the interface."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import socket
import struct
import sys
from typing import Literal

from hendrix.errors import ConfigurationError

# Bytes of the largest frame: that of the loopback interface, whose MTU is 64 KiB.
LARGEST = 65550

# Bytes of frames that may wait in the kernel while the reactor is busy: some ten thousand small ones, as the kernel counts them.
BUFFER = 8 << 20

# <linux/if_packet.h>, <linux/if_ether.h>, <linux/if_arp.h>, <linux/sockios.h>, <net/if.h>, <asm/socket.h>: what the socket module lacks.
SOL_PACKET, ADD_MEMBERSHIP, STATISTICS, IGNORE_OUTGOING, MR_PROMISC = 263, 1, 6, 23, 1
OTHERHOST, OUTGOING = 3, 4
ETH_P_ALL = 3
ARPHRD_ETHER, ARPHRD_LOOPBACK = 1, 772
SIOCGIFFLAGS, IFF_UP, IFF_RUNNING = 0x8913, 0x1, 0x40
SO_RCVBUFFORCE, SO_ATTACH_FILTER = 33, 26

State = Literal["up", "no carrier", "down", "missing"]


class PacketSocket:
    """
    No privilege is needed after `open`: neither to bind it again, nor to be promiscuous.

    :param ethertype: of the frames to hear; 0 for all.
    :param promiscuous: whether frames for others are heard too.
    :param outgoing: whether what this machine sends is heard too.
    """

    def __init__(self, interface: str, ethertype: int, promiscuous: bool, outgoing: bool) -> None:
        self.interface, self._ethertype, self._promiscuous, self._outgoing = interface, ethertype, promiscuous, outgoing
        self._buffer = bytearray(LARGEST)
        self._dropped = 0
        # A wire without hardware, or somebody else who is promiscuous, lets the kernel show us frames for others too.
        self._unwanted = {kind for kind, wanted in ((OTHERHOST, promiscuous), (OUTGOING, outgoing)) if not wanted}

    def open(self) -> None:
        """
        :raises ConfigurationError: we may not, there is no such interface, or it has no Ethernet frames.
        :raises OSError: something else is in the way.
        """
        if sys.platform != "linux":
            raise ConfigurationError("raw frames need Linux")
        try:
            # No protocol yet: nothing is heard before it is bound to the interface.
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        except PermissionError:
            raise ConfigurationError(
                "raw frames need the capability CAP_NET_RAW: start hendrix as root, and --uid sheds it when the socket is open"
            ) from None
        try:
            self._prepare()
            if self.attach() == "missing":
                there = ", ".join(sorted(name for _, name in socket.if_nameindex()))
                raise ConfigurationError(f"interface={self.interface}: there is no such interface; there is {there}")
            if self._socket.getsockname()[3] not in (ARPHRD_ETHER, ARPHRD_LOOPBACK):
                raise ConfigurationError(f"interface={self.interface}: it has no Ethernet frames")
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def state(self) -> State:
        """That of the interface, now."""
        name = self.interface.encode()
        if len(name) > 15:  # IFNAMSIZ, less a zero
            return "missing"
        try:
            answer = fcntl.ioctl(self._socket, SIOCGIFFLAGS, struct.pack("16s24x", name))
        except OSError:
            return "missing"
        (flags,) = struct.unpack_from("H", answer, 16)
        return "down" if not flags & IFF_UP else "up" if flags & IFF_RUNNING else "no carrier"

    def attach(self) -> State:
        """Be bound to the interface of that name, if there is one: an interface that comes back may be another to the kernel.

        One that was down and is up needs nothing: the kernel goes on by itself.
        """
        self._settle()
        if self.state() != "missing" and self._socket.getsockname()[0] != self.interface:
            with contextlib.suppress(OSError):  # it has gone meanwhile
                self._bind()
        return self.state()

    def receive(self) -> tuple[bytes, int] | None:
        """A frame, and its kind, one of packet(7): `OUTGOING` is one. None if there is none now.

        :raises OSError: the interface has gone down; told once.
        """
        while True:
            try:
                length, address = self._socket.recvfrom_into(self._buffer)
            except BlockingIOError:
                return None
            kind = address[2]
            if kind not in self._unwanted:
                return bytes(memoryview(self._buffer)[:length]), kind

    def send(self, frame: bytes) -> None:
        """
        :raises BlockingIOError: it must wait until the socket can be written to.
        :raises OSError: it cannot be sent.
        """
        self._socket.send(frame)

    def dropped(self) -> int:
        """How many frames the kernel had to drop so far, since they were not taken soon enough."""
        if self._socket.fileno() >= 0:
            _, dropped = struct.unpack("II", self._socket.getsockopt(SOL_PACKET, STATISTICS, 8))  # since it was asked last
            self._dropped += dropped
        return self._dropped

    def _prepare(self) -> None:
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        except PermissionError:  # that needs CAP_NET_ADMIN; this one goes as far as net.core.rmem_max
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        if self._outgoing and self._ethertype:
            self._filter()
        if not self._outgoing:
            with contextlib.suppress(OSError):  # before Linux 4.20 it is only `receive` that leaves them out
                self._socket.setsockopt(SOL_PACKET, IGNORE_OUTGOING, 1)

    def _bind(self) -> None:
        # Bound to one ethertype the kernel does not show what is sent: then all are asked for, and `_filter` leaves out the others.
        everything = self._outgoing or not self._ethertype
        self._socket.bind((self.interface, ETH_P_ALL if everything else self._ethertype))
        self._settle()
        if self._promiscuous:
            request = struct.pack("iHH8x", socket.if_nametoindex(self.interface), MR_PROMISC, 0)
            self._socket.setsockopt(SOL_PACKET, ADD_MEMBERSHIP, request)

    def _filter(self) -> None:
        """Have the kernel leave out other ethertypes, by a program in the language of BPF."""
        load_half_at_12, jump_unless_equal, give = (0x28, 0, 0, 12), (0x15, 0, 1, self._ethertype), 0x06
        steps = [load_half_at_12, jump_unless_equal, (give, 0, 0, 0xFFFFFFFF), (give, 0, 0, 0)]
        program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(steps), ctypes.addressof(program)))

    def _settle(self) -> None:
        """Forget that it is or was down: as long as that is to be told, the socket counts as broken."""
        self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


# What a send says of an interface that is down, has gone, or has no room: that will pass.
PASSING = frozenset({errno.ENETDOWN, errno.ENXIO, errno.ENODEV, errno.ENOBUFS})
