"""RFC 9112 section 11: response splitting and request smuggling."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from rawhttp import request
from subject import Server

INNER = b"GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n"


class TestResponseSplitting:
    """Section 11.1: no application can send a line that it did not mean to: it gets a 500 instead."""

    @pytest.mark.parametrize(
        "value",
        [
            *("a\r\nX-Injected: b", "a\nX-Injected: b", "a\rX-Injected: b", "a\r\n\r\n<html>", "\r\n", "a\x00b", "a\x0bb"),
            *("\na", "a\r", "a\r\n b", "a\x7f"),
        ],
    )
    def test_in_a_value(self, server: Server, value: str) -> None:
        assert server.exchange(request(f"/split?value={quote(value)}")).status == 500

    @pytest.mark.parametrize("name", ["X-A: b\r\nX-Injected", "X\r\nA", "X A", "X:", "X\n", " X", "X ", "X\x00", "X\u00e9", "(X)"])
    def test_in_a_name(self, server: Server, name: str) -> None:
        assert server.exchange(request(f"/split?name={quote(name, encoding='latin-1')}")).status == 500

    @pytest.mark.parametrize(
        "status", ["200 OK\r\nX-Injected: a", "200 OK\nX-Injected: a", "200 OK\r\n\r\n<html>", "200 \r", "200 O\x00K", "200\r\n OK"]
    )
    def test_in_a_status(self, server: Server, status: str) -> None:
        assert server.exchange(request(f"/split?of={quote(status)}")).status == 500

    @pytest.mark.parametrize(
        "data",
        [
            request("/", host="<script>alert(1)</script>"),
            request("/<script>alert(1)</script>#"),
            request(method="<script>"),
            request("/", "X-<script>: a"),
            request("/", "Expect: <script>"),
            request("/", "Content-Length: <script>"),
            request("/", "Transfer-Encoding: <script>"),
            request(version="HTTP/1.1<script>"),
        ],
    )
    def test_errors_do_not_quote_the_request(self, server: Server, data: bytes) -> None:
        """An error page never holds what the client sent."""
        response = server.refuses(data, 400, 417)
        assert b"<script" not in response.body
        assert "script" not in response.reason


class TestRequestSmuggling:
    """Section 11.2: no two readers of these disagree, as nobody downstream of us sees them and nothing after them is served."""

    @pytest.mark.parametrize(
        "head",
        [
            "Content-Length: 6\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 6",
            "Transfer-Encoding: chunked\r\nContent-Length: 0",
            "Content-Length: 0\r\nContent-Length: 44",
            "Content-Length: 44\r\nContent-Length: 0",
            "Content-Length: 0, 44",
            "Content-Length: 0\r\nContent_Length: 44\r\nTransfer-Encoding : chunked",
            "Transfer-Encoding : chunked\r\nContent-Length: 44",
            "Transfer-Encoding\t: chunked\r\nContent-Length: 44",
            " Transfer-Encoding: chunked\r\nContent-Length: 44",
            "X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 44",
            "X: y\rTransfer-Encoding: chunked\r\nContent-Length: 44",
            "X: y\nTransfer-Encoding: chunked\r\nContent-Length: 44",
            "X:\x00\r\nTransfer-Encoding: chunked\r\nContent-Length: 44",
            "Transfer-Encoding: xchunked\r\nContent-Length: 44",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\nContent-Length: 44",
            "Transfer-Encoding: chunked\r\nTransfer-encoding: cow\r\nContent-Length: 5",
            "Transfer-Encoding: \x0bchunked\r\nContent-Length: 44",
            "Transfer-Encoding: chunked\x0c\r\nContent-Length: 44",
            "Transfer-Encoding:\n chunked\r\nContent-Length: 44",
            "Transfer-Encoding: 'chunked'\r\nContent-Length: 44",
            "Transfer-Encoding: chu\r\n nked\r\nContent-Length: 44",
            "Transfer-Encoding: \u00a0chunked\r\nContent-Length: 44",
            "Transfer-Encoding: chunked, identity\r\nContent-Length: 44",
            "Transfer-Encoding: identity\r\nContent-Length: 44",
            "Transfer Encoding: chunked\r\nContent-Length: 44",
            "Transfer-Encoding;: chunked\r\nContent-Length: 44",
            "\u00ffTransfer-Encoding: chunked\r\nContent-Length: 44",
            "Content-Length: +44",
            "Content-Length: 4 4",
            "Content-Length: 44\r\n 0",
            "Content-Length: 0x2c",
            "Content-Length: 44\x00",
            "Content-Length : 44",
            "Content-Length\x00: 44",
            "Content-Length: 44\r\nX: y\r\n\tz",
            "Content-Length:\r\n\t44",
        ],
    )
    @pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
    def test_is_refused(self, server: Server, head: str, version: str) -> None:
        """MUST answer 400 to what is framed in two ways, or in a malformed one; and close."""
        server.refuses(request("/", head, method="POST", version=version) + b"0\r\n\r\n" + INNER, 400)

    @pytest.mark.parametrize(
        "line", ["Content_Length: 44", "Transfer_Encoding: chunked", "Content-Length2: 44", "X-Transfer-Encoding: chunked"]
    )
    def test_look_alikes_do_not_frame(self, server: Server, line: str) -> None:
        """A field of another name is another field: what follows is a request of its own."""
        with server.connect() as wire:
            wire.send(request("/a", line, method="POST") + request("/b"))
            assert wire.final().received == b""
            assert wire.final().environ["PATH_INFO"] == "/b"
