"""Clients who want to write our access log: one line for each request, valid JSON each, whatever they send.

Some megabytes here; ``make hostile-log`` sends ten thousand.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
from pathlib import Path

from pressure import eventually

from harness import Site

MEGABYTES = int(os.environ.get("HOSTILE_MB", "8"))
BATCH = 16
# A log that has grown to this is looked at, and makes room.
ROTATE = 256 << 20

FORGED = b'","status":200,"method":"FORGED"}\\n{"target":"/forged?", "x":"'
# Control characters are refused by the parser; these get through.
PASS = [b'"', b"\\", b'\\"', b"\\u000a", b"\\x0a", b"%0d%0a", b"%s%n%(h)s{0}", b"'", b"\t", FORGED]
PASS += [bytes((code,)) for code in range(0x80, 0x100)]
# These do not.
REFUSED = [b"\x00", b"\x1b[2J", b"\x07", b"\n", b"\r", b"\x7f", b"\x08"]


def nasty(chance: random.Random, size: int, pieces: list[bytes]) -> bytes:
    return b"".join(chance.choices(pieces, k=size))[:size]


class Flood:
    """Sends requests, and looks at the lines that come of them.

    :ivar sent: requests, and bytes.
    """

    def __init__(self, site: Site, log: Path) -> None:
        self.site, self.log, self.chance = site, log, random.Random(5)
        self.good = self.bad = self.bytes = self.lines = self.answered = self.refused = self.turns = 0
        self.values = [nasty(self.chance, size, PASS) for size in (1, 10, 100, 1000, 6000, 14000) for _ in range(5)]

    def batch(self, connection: socket.socket) -> None:
        """Requests that are answered, one behind the other on one connection."""
        heads = []
        for _ in range(BATCH):
            agent, referer = self.chance.choice(self.values), self.chance.choice(self.values)
            target = b"/?" + b"".join(self.chance.choices([b'"', b"\\", b"'", b"%22", b"{", b"}", b"a"], k=50))
            self.good += 1
            heads.append(
                b"GET %b&%d HTTP/1.1\r\nHost: x\r\nUser-Agent: %b\r\nReferer: %b\r\nAuthorization: Basic Ig==\r\nX-Request-ID: %b\r\n\r\n"
                % (target, self.good, agent, referer, FORGED)
            )
        data = b"".join(heads)
        connection.sendall(data)
        self.bytes += len(data)
        got = b""
        while got.count(b"\r\n\r\nhello\n") < BATCH:
            more = connection.recv(65536)
            assert more, got
            got += more

    def refusal(self) -> None:
        """One that is refused, and ends its connection."""
        place = self.chance.choice([b"GET /?%b HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nUser-Agent: a%b\r\n"])
        value = nasty(self.chance, 20, REFUSED)
        with self.site.connect() as connection:
            data = place % value + b"Host: x\r\n\r\n"
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while more := connection.recv(65536):
                answer += more
        assert answer.startswith(b"HTTP/1.1 400 "), (data, answer)
        self.bad += 1
        self.bytes += len(data)

    def look(self, log: Path) -> None:
        """Each line of a log is an object of the fields that we know, and tells of a request of ours."""
        with log.open("rb") as file:
            for raw in file:
                assert raw.isascii() and raw[:-1].decode().isprintable() and raw.endswith(b"}\n"), raw
                line = json.loads(raw)
                self.lines += 1
                if line["status"] == 200:
                    self.answered += 1
                    assert line["method"] == "GET" and line["user"] == '"' and len(line) == 22
                    assert line["user_agent"].encode("latin-1") in self.stripped and line["referer"].encode("latin-1") in self.stripped
                else:
                    self.refused += 1
                    assert line["status"] == 400 and line["method"] in ("", "GET") and "FORGED" not in line["target"]

    @property
    def stripped(self) -> set[bytes]:
        self.__dict__.setdefault("_stripped", {value.strip(b" \t") for value in self.values})
        return self.__dict__["_stripped"]  # type: ignore[no-any-return]

    def rotate(self) -> None:
        """As logrotate does it, while requests come."""
        self.turns += 1
        moved = self.log.with_suffix(f".{self.turns}")
        self.log.rename(moved)
        os.kill(self.site.pid, signal.SIGUSR1)
        eventually(self.log.exists, "the log is not opened anew")
        self.look(moved)
        moved.unlink()


def test_each_request_is_one_line_of_json(tmp_path: Path) -> None:
    log = tmp_path / "access"
    with Site("logged:app", f"--access-log={log}", "--access-log-format=json", "--threads=2") as site:
        flood = Flood(site, log)
        with site.connect() as connection:
            while flood.bytes < MEGABYTES << 20:
                flood.batch(connection)
                flood.refusal()
                if log.stat().st_size > ROTATE or not flood.turns:
                    flood.rotate()
        eventually(lambda: flood.lines + log.read_bytes().count(b"\n") >= flood.good + flood.bad, "lines are missing")
        flood.look(log)
        assert (flood.answered, flood.refused) == (flood.good, flood.bad)
        assert "lines of the access log were lost" not in site.log
    print(f"{flood.bytes / 1e6:.0f} MB in {flood.good + flood.bad} requests: {flood.lines} lines")
