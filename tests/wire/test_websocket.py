"""The handshake of a WebSocket, and messages out of bytes."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given, strategies as st
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import FrameProtocol

from hendrix.errors import PeerError
from hendrix.wire.response import Stamp
from hendrix.wire.websocket import (
    BINARY,
    CLOSE,
    FAILED,
    PING,
    PONG,
    TEXT,
    Decoder,
    Encoder,
    closing_code,
    handshake,
    is_asked_for,
    refused,
    switching,
)

ASKED = {
    "REQUEST_METHOD": "GET",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
}


def client(deflate: bool = False) -> FrameProtocol:
    extension = PerMessageDeflate(client_no_context_takeover=True, server_no_context_takeover=True)
    extension.finalize("permessage-deflate")
    return FrameProtocol(True, [extension] if deflate else [])


def events(decoder: Decoder, data: bytes) -> list[Any]:
    found: list[Any] = []
    decoder.receive(data)
    while (event := decoder.next()) is not None:
        found.append(event)
        if event[0] == FAILED:
            break
    return found


# The handshake.


def test_what_is_asked_for() -> None:
    assert is_asked_for({"HTTP_UPGRADE": "h2c, WebSocket"})
    assert not is_asked_for({"HTTP_UPGRADE": "websocket2"})
    assert not is_asked_for({})


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"REQUEST_METHOD": "POST"}, 400),
        ({"SERVER_PROTOCOL": "HTTP/1.0"}, 400),
        ({"HTTP_CONNECTION": "close"}, 400),
        ({"HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ"}, 400),
        ({"HTTP_SEC_WEBSOCKET_KEY": "ü"}, 400),
        ({"HTTP_SEC_WEBSOCKET_VERSION": "13, 13"}, 426),
        ({"HTTP_SEC_WEBSOCKET_VERSION": "14"}, 426),
    ],
)
def test_what_is_no_handshake(changes: dict[str, str], status: int) -> None:
    with pytest.raises(PeerError) as error:
        handshake({**ASKED, **changes})
    assert error.value.status == status


def test_the_answer() -> None:
    asked = handshake({**ASKED, "HTTP_SEC_WEBSOCKET_PROTOCOL": "chat, soap"})
    assert asked.subprotocols == ("chat", "soap")
    fields = [
        ("Content-Length", "5"),
        ("content-type", "text/html"),
        ("Set-Cookie", "a=b"),
        ("Sec-WebSocket-Accept", "theirs"),
        ("Upgrade", "x"),
    ]
    lines = switching(asked, "chat", fields, Stamp("")).decode().split("\r\n")
    assert lines[:3] == ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    assert lines[3:6] == ["Set-Cookie: a=b", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "Sec-WebSocket-Protocol: chat"]
    assert lines[6].startswith("Date: ")
    assert lines[7:] == ["", ""]


def test_another_version_is_told_which() -> None:
    answer = refused(PeerError(426, "another version"), Stamp("")).decode()
    assert answer.startswith("HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\n")
    assert "\r\nSec-WebSocket-Version: 13\r\n" in answer


AGREED = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


@pytest.mark.parametrize(
    ("offer", "bits", "extensions"),
    [
        ("", 0, ""),
        ("permessage-deflate", 15, AGREED),
        ("x-webkit-deflate-frame, permessage-deflate; client_max_window_bits", 15, AGREED),
        ("permessage-deflate; client_max_window_bits=8; client_no_context_takeover; server_no_context_takeover", 15, AGREED),
        ('permessage-deflate; server_max_window_bits="10"', 10, f"{AGREED}; server_max_window_bits=10"),
        ("permessage-deflate; server_max_window_bits=8", 0, ""),
        ("permessage-deflate; server_max_window_bits", 0, ""),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", 15, AGREED),
        ("permessage-deflate; client_max_window_bits=16", 0, ""),
        ("permessage-deflate; server_no_context_takeover=1", 0, ""),
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", 0, ""),
        ("permessage-deflate; fast", 0, ""),
        ("permessage-deflate; server_max_window_bits=9; server_max_window_bits=10", 0, ""),
        ("permessage-deflate;;", 0, ""),
    ],
)
def test_what_is_agreed_on_compression(offer: str, bits: int, extensions: str) -> None:
    asked = handshake({**ASKED, "HTTP_SEC_WEBSOCKET_EXTENSIONS": offer})
    assert (asked.bits, asked.extensions) == (bits, extensions)
    assert handshake({**ASKED, "HTTP_SEC_WEBSOCKET_EXTENSIONS": offer}, compress=False).bits == 0


# Messages.


@given(st.lists(st.one_of(st.text(), st.binary(max_size=3000)), max_size=5), st.booleans(), st.integers(1, 50))
def test_what_a_client_sends_in_whatever_pieces(messages: list[str | bytes], deflate: bool, size: int) -> None:
    peer, decoder = client(deflate), Decoder(deflate, 1 << 20)
    data = b"".join(peer.send_data(message) for message in messages)
    got = [event for at in range(0, len(data), size) for event in events(decoder, data[at : at + size])]
    assert got == [(TEXT if isinstance(message, str) else BINARY, message) for message in messages]
    assert decoder.clean


HEADS = st.builds(
    lambda first, second, mask, payload: bytes((first, second)) + mask + payload,
    st.integers(0, 255),
    st.one_of(st.integers(0, 255), st.integers(128, 140)),
    st.binary(max_size=12),
    st.binary(max_size=20),
)


@given(st.lists(st.one_of(st.binary(max_size=40), HEADS), max_size=12), st.booleans())
def test_any_bytes_are_messages_or_a_failure(pieces: list[bytes], deflate: bool) -> None:
    decoder = Decoder(deflate, 1000)
    for piece in pieces:
        for kind, value in events(decoder, piece):
            assert kind in (FAILED, TEXT, BINARY, CLOSE, PING, PONG)
            if kind == FAILED:
                assert value[0] in (1002, 1007, 1009)
            if kind in (FAILED, CLOSE):
                return


@pytest.mark.parametrize("bits", [0, 9, 15])
@pytest.mark.parametrize("message", ["", "hello", "ü" * 5000, b"", b"\0" * 100_000])
def test_what_a_client_gets(message: str | bytes, bits: int) -> None:
    peer = client(bits > 0)
    peer.receive_bytes(Encoder().message(message, bits))
    parts = [frame.payload for frame in peer.received_frames()]
    assert ("" if isinstance(message, str) else b"").join(parts) == message


def test_nothing_is_compressed_that_is_short() -> None:
    assert Encoder().message("x" * 511, 15)[0] & 0x40 == 0
    assert Encoder().message("x" * 512, 15)[0] & 0x40


def test_messages_and_control_frames_in_their_order() -> None:
    peer, decoder = client(), Decoder(False, 1000)
    data = peer.send_data("a", fin=False) + peer.ping(b"?") + peer.send_data("b", fin=True) + peer.close(1000, "bye") + b"garbage"
    decoder.receive(data)
    assert [decoder.next(), decoder.next(), decoder.next()] == [(PING, b"?"), (TEXT, "ab"), (CLOSE, (1000, "bye"))]


@pytest.mark.parametrize(
    ("sizes", "fits"), [([1000], True), ([1001], False), ([500, 500], True), ([500, 501], False), ([1] * 62, True), ([0] * 70, False)]
)
def test_the_limit_is_that_of_the_whole_message(sizes: list[int], fits: bool) -> None:
    peer, decoder = client(), Decoder(False, 1000)
    frames = [bytes(peer.send_data(bytes(size), fin=number == len(sizes))) for number, size in enumerate(sizes, 1)]
    for _ in range(2):
        got: list[Any] = []
        for frame in frames:
            for byte in range(len(frame)):
                got = got or events(decoder, frame[byte : byte + 1])
        assert got == ([(BINARY, bytes(sum(sizes)))] if fits else [(FAILED, (1009, "the message is too large"))])
        if not fits:
            break


@pytest.mark.parametrize(("size", "fits"), [(1000, True), (1001, False), (10_000_000, False)])
def test_the_limit_is_that_of_the_inflated_message(size: int, fits: bool) -> None:
    data = bytes(client(True).send_data(bytes(size)))
    decoder = Decoder(True, 1000)
    if len(data) < 1000:
        assert events(decoder, data)[0] == ((BINARY, bytes(size)) if fits else (FAILED, (1009, "the message is too large")))
    else:
        assert events(decoder, data)[0][1][0] == 1009


def test_a_bomb_is_never_blown_up() -> None:
    bomb = bytes(client(True).send_data(bytes(20 << 20)))
    decoder = Decoder(True, 1 << 20)
    tracemalloc.start()
    try:
        assert events(decoder, bomb)[0] == (FAILED, (1009, "the message is too large"))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_what_is_not_deflated_is_said_so() -> None:
    data = bytearray(client().send_data(b"\xff\xff\xff\xff"))
    data[0] |= 0x40
    assert events(Decoder(True, 1000), bytes(data))[0][1][0] == 1007


def test_codes() -> None:
    assert [closing_code(code) for code in (1000, 1012, 4008)] == [1000, 1012, 4008]
    for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000):
        with pytest.raises(ValueError, match="cannot be closed"):
            closing_code(code)
    assert Encoder().close(1005) == b"\x88\x00"
    assert Encoder().close(1000, "x" * 200)[1] == 125
