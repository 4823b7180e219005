"""Many connections over two workers: each gets each message once and in order, slow ones are cut, and memory stays flat.

``make many`` opens ten thousand; a test run some hundred.
"""

from __future__ import annotations

import json
import os
import resource
import select
import socket
from pathlib import Path
from typing import Any

import pytest
from sockets import KEY, eventually, publish

from harness import Site

CONNECTIONS = int(os.environ.get("MANY", "300"))
SLOW = 10
MESSAGES = 40
# Payloads that fill what the kernel takes for a client that does not read, and then what hendrix does.
SIZE = 500_000
# Memory that one idle connection may take.
EACH = 12 << 10

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Reader:
    """A client that notes the numbers it gets."""

    def __init__(self, site: Site, path: str) -> None:
        self.socket = site.connect()
        self.socket.sendall(HANDSHAKE.format(path=path).encode())
        self.data = b""
        self.numbers: list[int] = []

    def read(self) -> None:
        self.data += self.socket.recv(65536)
        if b"\r\n\r\n" in self.data:
            self.data = self.data.partition(b"\r\n\r\n")[2]
        while len(self.data) > 4 and len(self.data) >= (
            size := 2 + self.data[1] if self.data[1] < 126 else 4 + int.from_bytes(self.data[2:4], "big")
        ):
            said = json.loads(self.data[2 if self.data[1] < 126 else 4 : size])
            self.data = self.data[size:]
            if "payload" in said:
                self.numbers.append(said["payload"])


def memory(site: Site) -> int:
    """Of all workers, in bytes."""
    total = 0
    for pid in Path(f"/proc/{site.pid}/task/{site.pid}/children").read_text().split():
        with open(f"/proc/{pid}/status") as status:
            total += sum(int(line.split()[1]) << 10 for line in status if line.startswith("VmRSS"))
    return total


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="memory is read from /proc")
def test_many() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * CONNECTIONS + 500)), hard))
    with Site("realtime:app", "--workers=2", "--threads=3", "--heartbeat=0", "--grace=10") as site:
        for _ in range(50):
            site.get("/")
        before = memory(site)
        readers = [Reader(site, "/topics") for _ in range(CONNECTIONS)]
        poller = select.epoll()
        by_fd = {reader.socket.fileno(): reader for reader in readers}
        for fd in by_fd:
            poller.register(fd, select.EPOLLIN)

        def listen_until(condition: Any) -> None:
            while not condition():
                events = poller.poll(60)
                assert events, "nothing comes any more"
                for fd, _ in events:
                    by_fd[fd].read()

        def there(topic: str) -> int:
            return int(json.loads(site.get(f"/presence?topic={topic}").body)["connections"])

        eventually(lambda: there("chat.lobby") == CONNECTIONS)
        each = (memory(site) - before) / CONNECTIONS
        print(f"{each / 1024:.1f} KiB for each of {CONNECTIONS} connections")
        if CONNECTIONS >= 1000:
            assert each < EACH
        slow = [Reader(site, "/strict") for _ in range(SLOW)]
        eventually(lambda: there("strict") == SLOW)
        for number in range(MESSAGES):
            publish(site, "chat.lobby", number)
            publish(site, "strict", "x" * SIZE)
            listen_until(lambda count=number + 1: all(len(reader.numbers) >= count for reader in readers))
        assert all(reader.numbers == list(range(MESSAGES)) for reader in readers)
        eventually(lambda: there("strict") == 0)
        assert memory(site) - before < EACH * CONNECTIONS + (30 << 20)
        for reader in (*readers, *slow):
            reader.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            reader.socket.close()
