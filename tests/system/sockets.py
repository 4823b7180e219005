"""A WebSocket client for the tests: wsproto over a blocking socket, with a hand on each frame."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import FrameProtocol, Opcode

from certificates import Certificate
from harness import Site

DEADLINE: Final = 60.0
KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT: Final = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""What belongs to the key (RFC 6455 section 1.3)."""

TEXT, BINARY, PING, PONG, CLOSE, CONTINUATION = (
    Opcode.TEXT,
    Opcode.BINARY,
    Opcode.PING,
    Opcode.PONG,
    Opcode.CLOSE,
    Opcode.CONTINUATION,
)


class Answered(Exception):
    """The handshake was answered with something else than 101."""

    def __init__(self, status: int, head: str, body: bytes) -> None:
        super().__init__(f"{status} {body!r}")
        self.status, self.head, self.body = status, head, body


class Client:
    """An open WebSocket; raises `Answered` if it is not let in.

    :param fields: of the handshake; a value of None leaves one of ours out.
    :param deflate: offer permessage-deflate.
    :ivar head: the answer to the handshake.
    """

    def __init__(
        self,
        site: Site,
        path: str,
        fields: Mapping[str, str | None] | None = None,
        *,
        address: int = 0,
        deflate: bool = False,
        timeout: float = 30,
    ) -> None:
        self.socket = site.connect(address, timeout=timeout)
        ours: dict[str, str | None] = {
            "Host": "localhost",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": KEY,
            "Sec-WebSocket-Version": "13",
        }
        if deflate:
            ours["Sec-WebSocket-Extensions"] = "permessage-deflate; client_max_window_bits"
        lines = [f"{name}: {value}\r\n" for name, value in {**ours, **(fields or {})}.items() if value is not None]
        self.socket.sendall(f"GET {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode())
        self._data = b""
        while b"\r\n\r\n" not in self._data:
            self._data += self._read()
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        self.head = head.decode("latin-1")
        status = int(self.head.split(" ")[1])
        if status != 101:
            raise Answered(status, self.head, self._body())
        assert f"sec-websocket-accept: {ACCEPT.lower()}" in self.head.lower()
        extensions: list[Any] = []
        if "permessage-deflate" in self.head:
            assert deflate
            extension = PerMessageDeflate(client_no_context_takeover=True, server_no_context_takeover=True)
            extension.finalize("permessage-deflate")
            extensions.append(extension)
        self.frames = FrameProtocol(True, extensions)
        self.frames.receive_bytes(self._data)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def _read(self) -> bytes:
        data = self.socket.recv(65536)
        assert data, f"the connection ended: {self._data!r}"
        return data

    def _body(self) -> bytes:
        body = self._data
        while data := self.socket.recv(65536):
            body += data
        self.socket.close()
        return body

    # Sending.

    def send(self, *messages: str | bytes) -> None:
        """Send each as a message, all in one piece."""
        self.socket.sendall(b"".join(self.frames.send_data(message) for message in messages))

    def send_json(self, message: Any) -> None:
        """Send it as text."""
        self.send(json.dumps(message))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin the closing handshake."""
        self.socket.sendall(self.frames.close(code, reason))

    # Receiving.

    def next(self) -> tuple[int, Any]:
        """The next message or control frame: its opcode and content; of a close frame code and reason. (-1, None) at the end."""
        parts: list[Any] = []
        while True:
            for frame in self.frames.received_frames():
                if frame.opcode >= CLOSE:
                    return frame.opcode, frame.payload
                parts.append(frame.payload)
                if frame.message_finished:
                    return frame.opcode, (b"" if frame.opcode is BINARY else "").join(parts)
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return -1, None
            self.frames.receive_bytes(data)

    def receive(self) -> Any:
        """The next message."""
        opcode, payload = self.next()
        assert opcode in (TEXT, BINARY), (opcode, payload)
        return payload

    def receive_json(self) -> Any:
        """What the next message says."""
        return json.loads(self.receive())

    def closed(self) -> int:
        """The code of the close frame that comes next, and then the end; 1006 for an end without one."""
        opcode, payload = self.next()
        if opcode == -1:
            return 1006
        assert opcode == CLOSE, (opcode, payload)
        assert self.next() == (-1, None)
        return int(payload[0])


class Stream:
    """An event stream, read by hand."""

    def __init__(self, site: Site, path: str, fields: dict[str, str] | None = None, address: int = 0) -> None:
        self.socket = site.connect(address, timeout=30)
        lines = {"Host": "localhost", "Accept": "text/event-stream", **(fields or {})}
        request = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.socket.sendall(f"GET {path} HTTP/1.1\r\n{request}\r\n".encode())
        self._data = b""
        self.head = self._until(b"\r\n\r\n").decode("latin-1")

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._data:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError(self._data)
            self._data += data
        piece, _, self._data = self._data.partition(mark)
        return piece

    def raw(self) -> str:
        """The next block, be it a comment or an event."""
        return self._until(b"\n\n").decode()

    def event(self) -> dict[str, str]:
        """The fields of the next event."""
        while (block := self.raw()).startswith(":"):
            pass
        return dict(line.split(": ", 1) for line in block.split("\n"))

    def message(self) -> Any:
        """What the next message says."""
        event = self.event()
        assert "event" not in event, event
        said = json.loads(event["data"])
        assert event["id"] == said["id"]
        return said


def frame(opcode: int, payload: bytes = b"", *, first: int = 0x80, masked: bool = True, length: int | None = None) -> bytes:
    """A frame by hand.

    :param first: the bits beside the opcode: 0x80 is the last of a message, 0x40 compressed.
    :param length: what its head says, if that is not true.
    """
    size = len(payload) if length is None else length
    mask = 0x80 if masked else 0
    if size < 126:
        head = bytes((first | opcode, mask | size))
    elif size < 65536:
        head = bytes((first | opcode, mask | 126)) + struct.pack("!H", size)
    else:
        head = bytes((first | opcode, mask | 127)) + struct.pack("!Q", size)
    return head + (b"\0\0\0\0" if masked else b"") + payload


def endpoints(directory: Path, certificate: Certificate) -> tuple[str, str, str]:
    """One for each lane: tcp, unix, TLS."""
    return (
        "tcp:0:interface=127.0.0.1",
        f"unix:{directory}/socket",
        f"ssl:0:interface=127.0.0.1:privateKey={certificate.key}:certKey={certificate.cert}",
    )


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def seen(site: Site) -> list[Any]:
    """What the handlers of the application "realtime" have noted."""
    found: list[Any] = json.loads(site.get("/seen").body)
    return found


def publish(site: Site, topic: str, payload: Any) -> None:
    """Have the application "realtime" publish it."""
    assert site.request("POST", f"/publish?topic={topic}", json.dumps(payload).encode()).status == 200


def subscribed(client: Client, *topics: str) -> str:
    """Wait for word that a client is subscribed; gives the id at which it stands."""
    ids = set()
    for topic in topics:
        said = client.receive_json()
        assert (said["hey_joe"], said["topic"]) == ("subscribed", topic)
        ids.add(said["id"])
    assert len(ids) == 1
    return str(ids.pop())
