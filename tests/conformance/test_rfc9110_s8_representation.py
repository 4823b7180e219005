"""RFC 9110 section 8.6: Content-Length in responses."""

from __future__ import annotations

import pytest
from rawhttp import request
from subject import Server


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/length", b"hello world"),
        ("/single", b"hello world"),
        ("/stream", b"hello world"),
        ("/written", b"hello world"),
        ("/nothing", b""),
    ],
)
def test_body_is_what_the_application_sent(server: Server, target: str, body: bytes) -> None:
    """A server MUST frame the body in one of the ways of RFC 9112 section 6.3; the parser knows no other."""
    response = server.serves(request(target))
    assert response.body == body
    assert not response.until_close


def test_known_length_is_said(server: Server) -> None:
    """SHOULD send Content-Length when the length is known before the header section is sent."""
    for target in ("/length", "/single"):
        assert server.serves(request(target)).field("Content-Length") == "11"
    assert server.serves(request("/nothing")).field("Content-Length") == "0"


def test_unknown_length_is_chunked(server: Server) -> None:
    """RFC 9112 section 6.1: to HTTP/1.1, so that the connection persists."""
    assert server.serves(request("/stream")).chunked
    assert server.serves(request("/large")).chunked


def test_large_body_is_whole(server: Server) -> None:
    assert server.serves(request("/large")).body == b"".join(bytes([number]) * 16384 for number in range(64))
