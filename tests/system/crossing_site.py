"""The test's end of the application `apps/crossing.py`: a served site, and a control line on which it tells what happens."""

from __future__ import annotations

import collections
import contextlib
import io
import json
import socket
import ssl
import struct
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import quote

from harness import START, Site


class Crossing(Site):
    """A `Site` of crossing:app."""

    def __init__(self, *arguments, env=None, **options):
        self._home = tempfile.TemporaryDirectory(prefix="hendrix-test-")
        path = Path(self._home.name, "control")
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.bind(str(path))
        self._line.listen()
        self._control = None
        self._news = []
        self._news_of = collections.defaultdict(list)
        self._more = threading.Condition()  # its lock may be taken twice
        super().__init__("crossing:app", *arguments, env={"CONTROL": str(path), **(env or {})}, **options)

    def start(self):
        threading.Thread(target=self._hear, daemon=True).start()
        super().start()
        with self._more:
            assert self._more.wait_for(lambda: self._control is not None, START)

    def _hear(self):
        control, _ = self._line.accept()
        with self._more:
            self._control = control
            self._more.notify_all()
        while data := self._control.recv(65536):
            with self._more:
                item = json.loads(data)
                self._news.append(item)
                self._news_of[item.get("n")].append(item)
                self._more.notify_all()

    def kill(self):
        super().kill()
        for closing in (self._control, self._line):
            if closing is not None:
                closing.close()
        self._home.cleanup()

    # What it tells.

    def news(self, event=None, n=None, task=None):
        """What it has told so far."""
        wanted = {key: value for key, value in (("event", event), ("n", n), ("task", task)) if value is not None}
        with self._more:
            return [item for item in (self._news if n is None else self._news_of[n]) if wanted.items() <= item.items()]

    def told(self, event, n=None, task=None, count=1, timeout=20):
        """Wait until it has told of so many; gives the last one."""
        deadline = time.monotonic() + timeout
        with self._more:
            while len(found := self.news(event, n, task)) < count:
                if not self._more.wait(deadline - time.monotonic()) and time.monotonic() > deadline:
                    raise AssertionError(f"not told of {count} {event} {n} {task}: {self._news[-20:]}; log:\n{self.log}")
            return found[count - 1]

    def open(self, name):
        """Let what waits for this name go on."""
        self._control.send(json.dumps({"open": name}).encode())

    # Clients.

    def client(self, number, address=0, buffer=None):
        return Client(self, number, address, buffer)


class Client:
    """One connection; the tasks of the server know it by its number, and hold its socket open, unless that is None.

    :param buffer: bytes that its kernel is to hold for it; else the kernel decides, and gives more to those who read fast.
    """

    def __init__(self, site, number, address=0, buffer=None):
        self.site, self.number = site, number
        kind = site.addresses[address].partition(":")[0]
        self.sock = site.connect(address, tls=False, timeout=60, buffer=buffer)
        if number is not None:
            self._introduce()
        if kind == "ssl":
            self.sock = ssl._create_unverified_context().wrap_socket(self.sock, server_hostname="localhost")
        self.file = self.sock.makefile("rb")

    def _introduce(self):
        site, number = self.site, self.number
        socket.send_fds(site._control, [json.dumps({"conn": number}).encode()], [self.sock.fileno()])
        site.told("conn", number)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        with contextlib.suppress(OSError):
            self.file.close()
            if self.number is not None:
                self.sock.shutdown(socket.SHUT_RDWR)  # the tasks hold it open
            self.sock.close()

    def send(self, n, method="GET", version="1.1", close=False, **query):
        conn = {} if self.number is None else {"conn": self.number}
        target = "/?" + quote(json.dumps({"n": n, **conn, **query}))
        end = "Connection: close\r\n" if close else ""
        self.sock.sendall(f"{method} {target} HTTP/{version}\r\nHost: localhost\r\n{end}\r\n".encode())

    def read(self, bare=False):
        """Read one response; gives its status, its fields, and its content."""
        status = int(self.file.readline().split()[1])
        fields = {}
        while line := self.file.readline().strip():
            name, _, value = line.decode().partition(": ")
            fields[name.lower()] = value
        content = b""
        if bare or status in (204, 304):
            return status, fields, content
        if fields.get("transfer-encoding") == "chunked":
            while size := int(self.file.readline(), 16):
                content += self.file.read(size)
                self.file.readline()
            self.file.readline()
        elif "content-length" in fields:
            content = self.file.read(int(fields["content-length"]))
        else:
            content = self.file.read()
        return status, fields, content

    def some(self):
        """Read what is there, or comes first."""
        data = self.file.read1(50_000)
        assert data, "the server has closed the connection"
        return data

    def received(self):
        """Bytes that have reached this client so far, as `readable` of the application counts them."""
        return struct.unpack_from("Q", self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256), 128)[0]

    def ahead(self):
        """Bytes at most that have reached this client and that it has not read, when its buffer has a size: what the kernel holds, and
        the one segment by which it may exceed that; a TLS record; what its file has read ahead."""
        return self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) + (1 << 16) + (1 << 14) + io.DEFAULT_BUFFER_SIZE
