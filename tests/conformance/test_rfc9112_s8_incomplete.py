"""RFC 9112 section 8: incomplete messages. The server MAY answer with an error, and MUST NOT take them for whole."""

from __future__ import annotations

import socket
import struct

import pytest
from rawhttp import chunked, request
from subject import Server

HEAD = request("/", "X-Name: value")
LENGTH = request("/", method="POST", body=b"hello world")
CHUNKED = request("/", "Transfer-Encoding: chunked", method="POST", body=chunked(b"hello", b"world", trailers="X-T: v\r\n"))
PARTS = [
    *(pytest.param(HEAD[:at], id=f"head-{at}") for at in (1, 3, 10, 14, 16, 20, len(HEAD) - 3, len(HEAD) - 2, len(HEAD) - 1)),
    *(pytest.param(LENGTH[:at], id=f"length-{at - len(LENGTH)}") for at in range(len(LENGTH) - 11, len(LENGTH), 5)),
    *(pytest.param(CHUNKED[:at], id=f"chunked-{at - len(CHUNKED)}") for at in range(CHUNKED.index(b"\r\n\r\n") + 4, len(CHUNKED))),
]


@pytest.mark.parametrize("part", PARTS)
def test_client_ends_in_the_middle(server: Server, part: bytes) -> None:
    """A request cut off by the end of the stream is not served; the connection is closed."""
    before = server.reached()
    with server.connect() as wire:
        wire.send(part)
        wire.half_close()
        assert [response.status for response in wire.all()] in ([], [400], [408])
    assert server.reached() == before


@pytest.mark.parametrize("part", PARTS)
def test_client_ends_in_the_middle_of_the_second(server: Server, part: bytes) -> None:
    """The whole request before it is answered."""
    server.must_hear_half_closed_clients()
    with server.connect() as wire:
        wire.send(request("/first") + part)
        wire.half_close()
        first, *more = wire.all()
        assert first.environ["PATH_INFO"] == "/first"
        assert [response.status for response in more] in ([], [400], [408])


@pytest.mark.parametrize("part", PARTS)
def test_client_resets_in_the_middle(server: Server, part: bytes) -> None:
    """The same with a reset; the next client is served."""
    before = server.reached()
    with server.connect() as wire:
        wire.send(part)
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert server.reached() == before


def test_client_ends_before_any_request(server: Server) -> None:
    """Nothing came, so there is nothing to answer."""
    with server.connect() as wire:
        wire.half_close()
        wire.ends()


def test_client_ends_after_an_empty_line(server: Server) -> None:
    with server.connect() as wire:
        wire.send(b"\r\n")
        wire.half_close()
        wire.ends()
