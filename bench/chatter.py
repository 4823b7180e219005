"""Many WebSockets in one process: ``chatter.py echo|news|hold PORT COUNT NUMBER``, a client of bench/realtime.py.

It opens COUNT connections and prints "ready"; for a line on its standard input it does its work and prints what it has seen as JSON:

- echo: for NUMBER seconds each connection sends a message and waits for it to come back, again and again;
- news: NUMBER times it has the server publish, and waits until each connection has the message;
- hold: nothing.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections.abc import Iterator

from idle import raise_limit

BATCH = 20  # handshakes at a time
PATIENCE = 30.0  # seconds without anything from the server
MESSAGE = b"x" * 64
KEY, MASK = b"dGhlIHNhbXBsZSBub25jZQ==", b"\x01\x02\x03\x04"
FRAME = bytes([0x81, 0x80 | len(MESSAGE)]) + MASK + bytes(byte ^ MASK[place % 4] for place, byte in enumerate(MESSAGE))


class Client:
    """One connection."""

    def __init__(self, port: int, path: str) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""
        head = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        )
        self.sock.sendall(head.encode() + b"Sec-WebSocket-Key: " + KEY + b"\r\n\r\n")

    def opened(self) -> None:
        """Wait for the answer to the handshake."""
        while b"\r\n\r\n" not in self.data:
            piece = self.sock.recv(65536)
            if not piece:
                raise SystemExit(f"refused: {self.data!r}")
            self.data += piece
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise SystemExit(f"refused: {head!r}")

    def messages(self) -> Iterator[bytes]:
        """Read once; the payloads that are complete now."""
        piece = self.sock.recv(65536)
        if not piece:
            raise SystemExit("the server has closed a connection")
        data = self.data + piece
        while len(data) >= 2:
            length, start = data[1], 2
            if length == 126:  # none of ours has more than 65,535 bytes
                length, start = int.from_bytes(data[2:4], "big"), 4
            if len(data) < start + length:
                break
            if data[0] & 15 == 1:
                yield data[start : start + length]
            data = data[start + length :]
        self.data = data


def clients(port: int, path: str, count: int) -> list[Client]:
    """So many, all let in."""
    found: list[Client] = []
    while len(found) < count:
        batch = [Client(port, path) for _ in range(min(BATCH, count - len(found)))]
        for client in batch:
            client.opened()
        found += batch
    return found


class Poll:
    """Waits for any of them."""

    def __init__(self, found: list[Client]) -> None:
        self._epoll = select.epoll()
        self._by_number = {client.sock.fileno(): client for client in found}
        for number in self._by_number:
            self._epoll.register(number, select.EPOLLIN)

    def ready(self) -> list[Client]:
        events = self._epoll.poll(PATIENCE)
        if not events:
            raise SystemExit(f"nothing has come for {PATIENCE:g} s")
        return [self._by_number[number] for number, _ in events]


def echo(found: list[Client], seconds: float) -> dict[str, float]:
    """Messages there and back, each connection with one on its way."""
    poll, count = Poll(found), 0
    begin = time.perf_counter()
    end = begin + seconds
    for client in found:
        client.sock.sendall(FRAME)
    while time.perf_counter() < end:
        for client in poll.ready():
            for message in client.messages():
                if message != MESSAGE:
                    continue  # what the server says of itself
                count += 1
                client.sock.sendall(FRAME)
    return {"messages": count, "seconds": time.perf_counter() - begin}


def news(found: list[Client], times: int, port: int) -> dict[str, list[float]]:
    """Seconds from the request that publishes to the last that has the message."""
    poll, took = Poll(found), []
    request = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    publisher = socket.create_connection(("127.0.0.1", port), PATIENCE)
    for _ in range(times):
        missing = set(found)
        begin = time.perf_counter()
        publisher.sendall(request)
        while missing:
            for client in poll.ready():
                if any(MESSAGE in message for message in client.messages()):
                    missing.discard(client)
        took.append(time.perf_counter() - begin)
        publisher.recv(65536)
    return {"seconds": took}


def main(what: str, port: int, count: int, number: int) -> None:
    """Do it."""
    raise_limit(count + 100)
    found = clients(port, "/echo" if what == "echo" else "/news", count)
    print("ready", flush=True)
    sys.stdin.readline()
    if what == "echo":
        print(json.dumps(echo(found, number)), flush=True)
    elif what == "news":
        print(json.dumps(news(found, number, port)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
