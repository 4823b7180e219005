"""WebSocket: the opening handshake (RFC 6455 section 4), messages, and permessage-deflate (RFC 7692). Values in, values out.

wsproto does the framing. What is added:

- Rule 1: the limit holds at the head of a frame, before its content is there, for the sum of a message's frames; and for what a compressed
  message becomes, while it does. A fragment counts for `LEAST` bytes at least, so that there is no end of empty ones.
- Rule 2: no context takeover in either direction. Between two messages there is no state, so idle connections share their decoders, and
  a message is compressed once for all who get it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from wsproto.extensions import Extension, PerMessageDeflate
from wsproto.frame_protocol import (
    LOCAL_ONLY_CLOSE_REASONS,
    MAX_CLOSE_REASON,
    MAX_PROTOCOL_CLOSE_REASON,
    MIN_CLOSE_REASON,
    CloseReason,
    Frame,
    FrameDecoder,
    FrameProtocol,
    MessageDecoder,
    Opcode,
    ParseFailed,
    RsvBits,
)

from hendrix.errors import PeerError
from hendrix.wire.response import Fields, Head, Stamp, refusal

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
VERSION = "13"

# What a fragment counts for at least.
LEAST = 16
# Messages below this many bytes gain nothing by compression.
COMPRESS_FROM = 512

TEXT, BINARY, PING, PONG, CLOSE = Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.PONG, Opcode.CLOSE
# Beside the opcodes: the client broke the protocol or a limit; the value is as that of CLOSE.
FAILED = -1

Event = tuple[int, Any]

NO_BITS, COMPRESSED = RsvBits(False, False, False), RsvBits(True, False, False)
TOO_BIG, INVALID = CloseReason.MESSAGE_TOO_BIG, CloseReason.INVALID_FRAME_PAYLOAD_DATA
PARAMETER = re.compile(r'(\w+)(?:[ \t]*=[ \t]*(?:"(\w+)"|(\w+)))?')


class Handshake(NamedTuple):
    """What a client asks for.

    :ivar subprotocols: in the order of its preference.
    :ivar bits: the window, in bits, with which messages to it may be compressed; 0 if it does not understand that.
    :ivar extensions: the answer to its offer, "" for none.
    """

    key: str
    subprotocols: tuple[str, ...]
    bits: int
    extensions: str


def is_asked_for(environ: Mapping[str, Any]) -> bool:
    """Whether a request wants to become a WebSocket."""
    return "websocket" in _list(environ.get("HTTP_UPGRADE", "").lower())


def handshake(environ: Mapping[str, Any], *, compress: bool = True) -> Handshake:
    """The opening handshake that a request holds (RFC 6455 section 4.2.1).

    :param environ: of a request that `is_asked_for` holds for.
    :raises PeerError: 426 for another version of the protocol, 400 for what is none.
    """
    if environ["REQUEST_METHOD"] != "GET" or environ["SERVER_PROTOCOL"] != "HTTP/1.1":
        raise PeerError(400, "a WebSocket starts with a GET request of HTTP/1.1")
    if "upgrade" not in _list(environ.get("HTTP_CONNECTION", "").lower()):
        raise PeerError(400, "the Connection field does not say upgrade")
    version = environ.get("HTTP_SEC_WEBSOCKET_VERSION")
    if version is None:
        raise PeerError(400, "there is no Sec-WebSocket-Version field")
    if version != VERSION:
        raise PeerError(426, f"the version of the WebSocket protocol here is {VERSION}")
    key = environ.get("HTTP_SEC_WEBSOCKET_KEY", "")
    try:
        if len(base64.b64decode(key, validate=True)) != 16:
            raise ValueError
    except (ValueError, binascii.Error):
        raise PeerError(400, "Sec-WebSocket-Key must be 16 bytes in base64") from None
    bits, extensions = _negotiate(environ.get("HTTP_SEC_WEBSOCKET_EXTENSIONS", "")) if compress else (0, "")
    return Handshake(key, _list(environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "")), bits, extensions)


def _list(value: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip(" \t") for part in value.split(","))))


def _negotiate(offers: str) -> tuple[int, str]:
    """The first offer of permessage-deflate that can be kept (RFC 7692 section 5.1): the bits of our window, and the answer."""
    for offer in _list(offers):
        name, *parameters = (part.strip(" \t") for part in offer.split(";"))
        if name == PerMessageDeflate.name:
            bits = _window(parameters)
            if bits:
                answer = f"{name}; server_no_context_takeover; client_no_context_takeover"
                return abs(bits), answer if bits < 0 else f"{answer}; server_max_window_bits={bits}"
    return 0, ""


def _window(parameters: Sequence[str]) -> int:
    """The bits that an offer asks for, -15 if it does not, 0 if it is not understood (RFC 7692 section 7.1)."""
    seen: dict[str, str | None] = {}
    for parameter in parameters:
        match = PARAMETER.fullmatch(parameter)
        if match is None or match[1] in seen:
            return 0
        seen[match[1]] = match[2] or match[3]
    # What the client limits itself to is no matter: the largest window reads all.
    client = seen.pop("client_max_window_bits", None)
    ours = seen.pop("server_max_window_bits", "-15")
    switches = [seen.pop(name, None) for name in ("server_no_context_takeover", "client_no_context_takeover")]
    if seen or any(switches) or (client is not None and client not in WINDOWS) or ours is None or ours == "8":
        return 0
    return int(ours) if ours == "-15" or ours in WINDOWS else 0


WINDOWS = frozenset(map(str, range(8, 16)))  # zlib cannot compress with one of 8


def switching(asked: Handshake, subprotocol: str, fields: Fields, stamp: Stamp) -> bytes:
    """The answer that turns the connection into a WebSocket, with the application's fields but for those of its content.

    :raises AppError: for a field that is none.
    """
    accept = base64.b64encode(hashlib.sha1(asked.key.encode() + GUID).digest()).decode()
    kept = [field for field in fields if not field[0].lower().startswith(("content-", "sec-websocket-"))]
    kept.append(("Sec-WebSocket-Accept", accept))
    if subprotocol:
        kept.append(("Sec-WebSocket-Protocol", subprotocol))
    if asked.extensions:
        kept.append(("Sec-WebSocket-Extensions", asked.extensions))
    # 101 has no content and says nothing of its length, as 204 does.
    _, _, rest = stamp.finish(Head("204 No Content", kept, None, False, True, True)).partition(b"\r\n")
    return b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + rest


def refused(error: PeerError, stamp: Stamp) -> bytes:
    """The whole answer to a handshake that is refused; the connection ends with it."""
    if error.status != 426:
        return refusal(error, stamp)
    answer = refusal(error, stamp, (("Sec-WebSocket-Version", VERSION),))
    return answer.replace(b"\r\n", b"\r\nUpgrade: websocket\r\n", 1)  # RFC 9110 section 15.5.22


class Limits(Extension):
    """What is looked at in each frame that comes in, as wsproto calls an extension: the limit, and inflating within it."""

    name = "hendrix"

    def __init__(self, deflate: bool, max_message: int) -> None:
        self._deflate, self._max_message = deflate, max_message
        self._size = self._this = self._room = 0
        self._compressed = self._control = False
        self._inflater: Any = None

    def offer(self) -> bool:
        return False

    def frame_inbound_header(self, proto: object, opcode: Opcode, rsv: RsvBits, payload_length: int) -> CloseReason | RsvBits:
        """May be called again for the same frame, when the head came in pieces."""
        self._control = opcode.iscontrol()
        if self._control:
            return NO_BITS
        first = opcode is not Opcode.CONTINUATION
        if first:
            self._size, self._room, self._compressed, self._inflater = 0, self._max_message, rsv.rsv1, None
        self._this = payload_length if first else max(payload_length, LEAST)
        if self._size + self._this > self._max_message:
            return TOO_BIG
        return COMPRESSED if first and self._deflate else NO_BITS

    def frame_inbound_payload_data(self, proto: object, data: bytes) -> bytes | CloseReason:
        return self._inflate(data) if self._compressed and not self._control else data

    def frame_inbound_complete(self, proto: object, fin: bool) -> bytes | CloseReason | None:
        if self._control:
            return None
        self._size += self._this
        return self._inflate(b"\x00\x00\xff\xff") if fin and self._compressed else None

    def _inflate(self, data: bytes) -> bytes | CloseReason:
        if self._inflater is None:
            self._inflater = zlib.decompressobj(-15)
        try:
            out: bytes = self._inflater.decompress(data, self._room + 1)
        except zlib.error:
            return INVALID
        self._room -= len(out)
        return out if self._room >= 0 else TOO_BIG


class Decoder:
    """Messages out of what clients send; one client at a time, until it is `clean` again.

    :param deflate: whether the client may compress.
    :param max_message: bytes of a message, also of what it becomes; 1009 above.
    """

    def __init__(self, deflate: bool, max_message: int) -> None:
        self.deflate, self.max_message = deflate, max_message
        self._frames = FrameDecoder(False, [Limits(deflate, max_message)])
        self._messages = MessageDecoder()
        self._parts: list[Any] = []

    @property
    def clean(self) -> bool:
        """Nothing is begun: another client may have it."""
        return self._frames.header is None and self._messages.opcode is None and not self._frames.buffer

    def receive(self, data: bytes) -> None:
        """What the client has sent."""
        self._frames.receive_bytes(data)

    def next(self) -> Event | None:
        """The next of (TEXT, str), (BINARY, bytes), (PING, bytes), (PONG, bytes), (CLOSE, (code, reason)), (FAILED, (code, reason)); None
        if there is none yet. Nothing comes after CLOSE and FAILED; let go of the decoder then.
        """
        frames = self._frames
        try:
            while frames.buffer and (frame := frames.process_buffer()) is not None:
                opcode = frame.opcode
                if opcode is CLOSE:
                    return CLOSE, _closing(frame)
                if opcode > CLOSE:
                    return opcode, frame.payload
                frame = self._messages.process_frame(frame)
                if frame.message_finished:
                    return frame.opcode, self._joined(frame) if self._parts else frame.payload
                if frame.payload:
                    self._parts.append(frame.payload)
        except ParseFailed as error:
            reason = "the message is too large" if error.code is TOO_BIG else str(error)
            return FAILED, (int(error.code), reason)
        return None

    def _joined(self, frame: Frame) -> str | bytes:
        self._parts.append(frame.payload)
        parts, self._parts = self._parts, []
        return "".join(parts) if frame.opcode is TEXT else b"".join(parts)


def _closing(frame: Frame) -> tuple[int, str]:
    """The code and the reason of a close frame (RFC 6455 section 5.5.1)."""
    data: Any = frame.payload
    if not data:
        return int(CloseReason.NO_STATUS_RCVD), ""
    code = int.from_bytes(data[:2], "big") if len(data) > 1 else 0
    known = code in CloseReason.__members__.values() and code not in LOCAL_ONLY_CLOSE_REASONS
    if not MIN_CLOSE_REASON <= code <= MAX_CLOSE_REASON or (code <= MAX_PROTOCOL_CLOSE_REASON and not known):
        raise ParseFailed("the close frame has no code that may be sent")
    try:
        return code, data[2:].decode()
    except UnicodeDecodeError:
        raise ParseFailed("the reason of the close frame is not UTF-8", INVALID) from None


class Encoder:
    """Frames out of messages. One thread's at a time: have one for each."""

    def __init__(self) -> None:
        self._plain = FrameProtocol(False, [])
        self._deflating: dict[int, FrameProtocol] = {}

    def message(self, payload: str | bytes, bits: int = 0) -> bytes:
        """One message; the same frame for all clients with the same ``bits``, see `Handshake`."""
        if not bits or len(payload) < COMPRESS_FROM:
            return bytes(self._plain.send_data(payload))
        protocol = self._deflating.get(bits)
        if protocol is None:
            deflate = PerMessageDeflate(server_no_context_takeover=True, server_max_window_bits=bits)
            deflate.finalize(deflate.name)
            protocol = self._deflating[bits] = FrameProtocol(False, [deflate])
        return bytes(protocol.send_data(payload))

    def ping(self) -> bytes:
        return bytes(self._plain.ping())

    def pong(self, payload: bytes) -> bytes:
        return bytes(self._plain.pong(payload))

    def close(self, code: int, reason: str = "") -> bytes:
        """A close frame; of the reason, as much as has room. A code that may not be sent leaves the frame empty."""
        if code in LOCAL_ONLY_CLOSE_REASONS:
            return bytes(self._plain.close())
        return bytes(self._plain.close(code, reason))


def closing_code(code: int) -> int:
    """:raises ValueError: an application may not close with this code (RFC 6455 section 7.4.2)."""
    if code in (1000, 1001, 1003, 1007, 1008, 1009, 1011, 1012, 1013) or 3000 <= code <= MAX_CLOSE_REASON:
        return code
    raise ValueError(f"a WebSocket cannot be closed with {code!r}: give 1000, or a code of your own from 4000 to 4999")
