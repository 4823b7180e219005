"""RFC 9110 section 7: Host (7.2, and RFC 9112 section 3.2), Connection (7.6.1) and Upgrade (7.8)."""

from __future__ import annotations

import pytest
from rawhttp import request
from subject import Server

BAD_HOSTS = [
    *(
        "user@a.example",
        "user:pass@a.example",
        "@",
        "a.example/",
        "a.example/path",
        "/",
        "http://a.example",
        "a.example?b",
        "a.example#b",
        "?",
        "#",
    ),
    *(
        "a.example,b.example",
        "a.example, b.example",
        ",",
        "a.example:x",
        "a.example:80:80",
        "a.example:-1",
        "a.example:+80",
        "a.example:8 0",
        "a.example: 80",
    ),
    *(
        "a.example :80",
        "a.example:80x",
        "a.example:0x50",
        ":80",
        ":",
        "a.example:80/",
        "::1",
        "[::1",
        "::1]",
        "[",
        "]",
        "[]",
        "[g::1]",
        "[::1]x",
        "[::1]:x",
    ),
    *(
        "x[::1]",
        "[::1]]",
        "[[::1]]",
        "[127.0.0.1]",
        "a b",
        "a\tb",
        "a\\b",
        "<script>",
        "a>b",
        'a"b',
        "a^b",
        "a`b",
        "a|b",
        "a{b",
        "a}b",
        "a%",
        "a%2",
        "a%zz",
    ),
    *("caf\u00e9.example", "a\u00a0", "\u00ff", "a\x00", "a\x01b", "a\x7f", "a.example\x0b"),
]


class TestHost:
    """Section 7.2."""

    @pytest.mark.parametrize(
        "host",
        [
            *("a.example", "A.Example:80", "a.example:", "127.0.0.1", "127.0.0.1:8000", "[::1]", "[2001:db8::1]:443"),
            *("[::ffff:1.2.3.4]", "localhost", "a", "xn--caf-dma.example", "a_b.example", "a-b.example.", "%61.example"),
            *("1.2.3", "a~b", " \ta.example\t "),
        ],
    )
    def test_valid(self, server: Server, host: str) -> None:
        """uri-host [ ":" port ], as RFC 3986 section 3.2.2 has it."""
        assert server.serves(request(host=host)).environ["HTTP_HOST"] == host.strip()

    @pytest.mark.parametrize("host", BAD_HOSTS)
    @pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
    def test_malformed(self, server: Server, host: str, version: str) -> None:
        """RFC 9112 section 3.2: MUST answer 400 to any request with an invalid Host."""
        server.refuses(request(host=host, version=version), 400)

    @pytest.mark.parametrize("target", ["/", "http://a.example/", "http://a.example"])
    @pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
    def test_missing(self, server: Server, target: str, method: str) -> None:
        """RFC 9112 section 3.2: MUST answer 400 to a request of HTTP/1.1 without Host."""
        server.refuses(request(target, method=method, host=None), 400)

    def test_missing_from_options_asterisk(self, server: Server) -> None:
        server.refuses(request("*", method="OPTIONS", host=None), 400)

    def test_missing_in_http_1_0(self, server: Server) -> None:
        """It came with HTTP/1.1."""
        assert "HTTP_HOST" not in server.exchange(request(host=None, version="HTTP/1.0")).environ

    @pytest.mark.parametrize("host", ["", " ", "\t"])
    @pytest.mark.parametrize("target", ["/", "http://a.example/"])
    def test_empty(self, server: Server, host: str, target: str) -> None:
        """An http URI has a host that is not empty (section 4.2.1): 400."""
        server.refuses(request(target, host=host), 400)

    @pytest.mark.parametrize(
        "lines",
        [["Host: a.example"], ["Host: b.example"], ["host: a.example"], ["X-A: b", "HOST: b.example"], ["Host:"], ["Host: a.example"] * 5],
    )
    @pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
    def test_repeated(self, server: Server, lines: list[str], version: str) -> None:
        """RFC 9112 section 3.2: MUST answer 400 to any request with more than one Host, be they equal or not."""
        server.refuses(request("/", *lines, version=version), 400)

    @pytest.mark.parametrize("host", ["a.example", "b.example:81"])
    def test_no_other_field_replaces_it(self, server: Server, host: str) -> None:
        lines = ["X-Forwarded-Host: evil", "Forwarded: host=evil", "X-Host: evil", "HTTP-HOST: evil", "Http_Host: evil"]
        assert server.serves(request("/", *lines, host=host)).environ["HTTP_HOST"] == host


class TestUpgrade:
    """Section 7.8: MAY ignore an offer to upgrade, and we do."""

    OFFERS = {
        "h2c": ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"],
        "websocket": [
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
        ],
        "tls": ["Connection: upgrade", "Upgrade: TLS/1.2, HTTP/1.1"],
        "unknown": ["Connection: Upgrade", "Upgrade: foo/2"],
        "many": ["Connection: keep-alive, Upgrade", "Upgrade: a, b", "Upgrade: c/1"],
        "without option": ["Upgrade: h2c"],
        "without field": ["Connection: Upgrade"],
        "empty": ["Connection: Upgrade", "Upgrade:"],
    }

    @pytest.mark.parametrize("lines", OFFERS.values(), ids=OFFERS)
    @pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "HEAD"])
    def test_is_ignored(self, server: Server, lines: list[str], method: str) -> None:
        """The request is answered as one of HTTP/1.1, and the next after it."""
        assert server.serves(request("/", *lines, method=method), method).field("Upgrade") is None

    @pytest.mark.parametrize("lines", OFFERS.values(), ids=OFFERS)
    @pytest.mark.parametrize("coding", ["Content-Length: 5", "Transfer-Encoding: chunked"])
    def test_body_is_read(self, server: Server, lines: list[str], coding: str) -> None:
        """Its body is a body, not the first bytes of another protocol."""
        body = b"hello" if "Length" in coding else b"5\r\nhello\r\n0\r\n\r\n"
        assert server.serves(request("/", *lines, coding, method="POST", body=b"") + body).received == b"hello"

    @pytest.mark.parametrize("lines", OFFERS.values(), ids=OFFERS)
    def test_next_request_may_come_later(self, server: Server, lines: list[str]) -> None:
        with server.connect() as wire:
            for _ in range(3):
                wire.send(request("/", *lines))
                assert wire.final().status == 200

    def test_in_http_1_0(self, server: Server) -> None:
        """MUST ignore an Upgrade in a request of HTTP/1.0."""
        assert server.exchange(request("/", *self.OFFERS["h2c"], version="HTTP/1.0")).status == 200

    @pytest.mark.parametrize("lines", OFFERS.values(), ids=OFFERS)
    def test_bad_request_is_still_refused(self, server: Server, lines: list[str]) -> None:
        server.refuses(request("/", *lines, "Content-Length: 5", "Transfer-Encoding: chunked", method="POST", body=b"") + b"0\r\n\r\n", 400)
