"""A pair of virtual Ethernet interfaces in a network namespace, for tests with real frames. It ends with the test, and with its process."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

PATIENCE = 60.0
BUFFER = 16 << 20
SO_RCVBUFFORCE, CLONE_NEWNET = 33, 0x40000000
ETHERTYPE = 0x88B5  # for local experiments
_libc = ctypes.CDLL(None, use_errno=True)


class Wire:
    """Two ends, ``near0`` and ``far0``, in a namespace where nothing else is.

    :param near: the name of the first end, which is here and not in the namespace if ``outside``.
    """

    near, far = "near0", "far0"

    def __init__(self, holder: subprocess.Popen[bytes], near: str = "near0", outside: bool = False) -> None:
        self._pid, self.near, self._outside = holder.pid, near, outside
        self.inside = ["nsenter", f"--net=/proc/{self._pid}/ns/net", "--"]

    def lay(self) -> None:
        """Make the pair, and have both ends up."""
        if self._outside:
            run("ip", "link", "add", self.near, "type", "veth", "peer", "name", self.far, "netns", str(self._pid))
            with open(f"/proc/sys/net/ipv6/conf/{self.near}/disable_ipv6", "w", encoding="ascii") as file:
                file.write("1")
            run("ip", "link", "set", self.near, "up")
        else:
            self.ip("link", "add", self.near, "type", "veth", "peer", "name", self.far)
            self.ip("link", "set", self.near, "up")
        self.ip("link", "set", self.far, "up")

    def ip(self, *words: str) -> str:
        """The command ip, in the namespace."""
        return run(*self.inside, "ip", *words)

    def shown(self, interface: str) -> dict[str, object]:
        """What ip knows of an interface."""
        return json.loads(self.ip("-json", "-details", "link", "show", interface))[0]

    def address(self, interface: str) -> bytes:
        return bytes.fromhex(str(self.shown(interface)["address"]).replace(":", ""))

    def socket(self, interface: str, ethertype: int = ETHERTYPE) -> socket.socket:
        """A raw socket on an interface of the namespace."""
        made: list[socket.socket] = []

        def make() -> None:  # a thread may be in another namespace than its process
            with open(f"/proc/{self._pid}/ns/net") as namespace:
                if _libc.setns(namespace.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            made.append(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        (raw,) = made
        raw.settimeout(PATIENCE)
        raw.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        raw.bind((interface, ethertype))
        return raw


def frame(destination: bytes = b"\xff" * 6, payload: bytes = b"", ethertype: int = ETHERTYPE, source: bytes = b"\2\0\0\0\0\7") -> bytes:
    return destination + source + ethertype.to_bytes(2, "big") + payload


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def eventually(condition, what=""):
    """Wait until it holds, and give what it gave."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {what}"
        time.sleep(0.05)
    return value


@contextmanager
def laid(*, outside: bool = False) -> Iterator[Wire]:
    """A wire; the test is skipped where there can be none."""
    missing = [tool for tool in ("ip", "nsenter", "unshare") if not shutil.which(tool)]
    if missing:
        pytest.skip(f"no {' and '.join(missing)}: raw frames are NOT TESTED; install iproute2 and util-linux")
    command = ["unshare", "--net", "sh", "-c", "echo 1 2>&- >/proc/sys/net/ipv6/conf/default/disable_ipv6; echo ready; exec cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as holder:
        try:
            if holder.stdout is None or holder.stdout.readline() != b"ready\n":
                pytest.skip(f"raw frames are NOT TESTED, for there can be no network namespace: {holder.communicate()[1].decode()}")
            wire = Wire(holder, f"hx{os.getpid()}" if outside else "near0", outside)
            try:
                wire.lay()
            except AssertionError as error:
                pytest.skip(f"raw frames are NOT TESTED, for there can be no veth pair: {error}")
            yield wire
        finally:
            holder.kill()
            if outside:  # it would go by itself, soon
                subprocess.run(["ip", "link", "delete", f"hx{os.getpid()}"], capture_output=True, timeout=PATIENCE)
