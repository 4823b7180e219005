"""RFC 9112 section 6: the message body, and how its length is found."""

from __future__ import annotations

import pytest
from rawhttp import chunked, request
from subject import MAX_BODY, Server

CHUNKED = chunked(b"hello")

TRAILING_SPACE = pytest.param(
    " \tchunked\t ", marks=pytest.mark.xfail(strict=True, reason="llhttp refuses white space after chunked (400): safe against smuggling")
)


class TestTransferEncoding:
    """Section 6.1."""

    @pytest.mark.parametrize("value", ["chunked", "Chunked", "CHUNKED", " \tchunked", TRAILING_SPACE])
    def test_chunked(self, server: Server, value: str) -> None:
        """MUST be able to parse the chunked coding; names of codings are case-insensitive."""
        answer = server.serves(request("/", f"Transfer-Encoding:{value}", method="POST", body=CHUNKED))
        assert (answer.received, answer.environ["CONTENT_LENGTH"]) == (b"hello", "5")

    @pytest.mark.parametrize(
        "value", ["gzip, chunked", "gzip,chunked", "deflate, gzip, chunked", "foo, chunked", "identity, chunked", "x-gzip, chunked"]
    )
    def test_unknown_coding_before_chunked(self, server: Server, value: str) -> None:
        """SHOULD answer 501 to a transfer coding that it does not understand."""
        server.refuses(request("/", f"Transfer-Encoding: {value}", method="POST", body=CHUNKED), 501)

    def test_unknown_coding_in_a_line_before(self, server: Server) -> None:
        """SHOULD answer 501: the lines make one list (RFC 9110 section 5.3)."""
        server.refuses(request("/", "Transfer-Encoding: gzip", "Transfer-Encoding: chunked", method="POST", body=CHUNKED), 501)

    @pytest.mark.parametrize(
        "value",
        [
            *("gzip", "identity", "foo", "chunked, gzip", "chunked, identity", "xchunked", "chunkedx", "chunked x"),
            *("x chunked", "chunke", "chunk", "ch unked", "", ",", "chunked;q=1", "chunked; a=b", "chunked=1", '"chunked"'),
            *("'chunked'", "chunked.", "chun\u212aed".encode().decode("latin-1"), "\u00a0chunked", "chunked\u00a0"),
            *("\u0085chunked", "chunked\x0b", "\x0bchunked", "\x0cchunked", "chunked\x00", "\x00chunked", "chunked\x1f"),
        ],
    )
    def test_last_coding_is_not_chunked(self, server: Server, value: str) -> None:
        """Section 6.3, rule 4: MUST answer 400 and close if chunked is not the final coding of a request."""
        server.refuses(request("/", f"Transfer-Encoding: {value}", method="POST", body=CHUNKED), 400)

    @pytest.mark.parametrize(
        "values",
        [
            ["chunked, chunked"],
            ["chunked,chunked"],
            ["chunked", "chunked"],
            ["Chunked", "cHUNKED"],
            ["chunked, gzip, chunked"],
            ["chunked", "gzip"],
        ],
    )
    def test_chunked_repeated(self, server: Server, values: list[str]) -> None:
        """A sender MUST NOT apply chunked more than once: 400."""
        server.refuses(request("/", *(f"Transfer-Encoding: {value}" for value in values), method="POST", body=CHUNKED), 400)

    @pytest.mark.parametrize(
        "lines", [["Transfer-Encoding: chunked"], ["Transfer-Encoding: chunked", "Connection: keep-alive"], ["Transfer-Encoding: gzip"]]
    )
    def test_in_http_1_0(self, server: Server, lines: list[str]) -> None:
        """MUST treat a message of HTTP/1.0 with Transfer-Encoding as faulty framing, and close."""
        server.refuses(request("/", *lines, method="POST", version="HTTP/1.0", body=CHUNKED), 400)

    @pytest.mark.parametrize("length", ["5", "0", "15", "3", "x", ""])
    @pytest.mark.parametrize("coding", ["chunked", "identity", "gzip", "xchunked", "", "Chunked"])
    @pytest.mark.parametrize("order", [1, -1])
    def test_with_content_length(self, server: Server, length: str, coding: str, order: int) -> None:
        """MAY reject, and we do, with 400: an attempt at request smuggling (section 11.2). MUST close."""
        lines = [f"Content-Length: {length}", f"Transfer-Encoding: {coding}"][::order]
        server.refuses(request("/", *lines, method="POST", body=CHUNKED), 400)

    def test_with_content_length_in_http_1_0(self, server: Server) -> None:
        server.refuses(
            request("/", "Content-Length: 15", "Transfer-Encoding: chunked", method="POST", version="HTTP/1.0", body=CHUNKED), 400
        )


class TestContentLength:
    """Section 6.2, and RFC 9110 section 8.6."""

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET", "OPTIONS"])
    @pytest.mark.parametrize("body", [b"hello", b"\x00\r\n\xff", b"GET /smuggled HTTP/1.1\r\n\r\n"])
    def test_frames_the_body(self, server: Server, method: str, body: bytes) -> None:
        """Section 6.3, rule 6: the body is as long as Content-Length says, for any method (RFC 9110 section 9.3.1 too)."""
        answer = server.serves(request("/", method=method, body=body))
        assert (answer.received, answer.environ["CONTENT_LENGTH"]) == (body, str(len(body)))

    @pytest.mark.parametrize("raw", ["5", " 5", "\t5 \t", "005", "0" * 30 + "5"])
    def test_digits(self, server: Server, raw: str) -> None:
        """1*DIGIT: zeros may lead."""
        assert server.serves(request("/", f"Content-Length:{raw}", method="POST") + b"hello").received == b"hello"

    @pytest.mark.parametrize(
        "value",
        [
            *("+5", "-5", "-0", "0x5", "5_0", "5 0", "5.0", "5e0", "5;", "5,", ",5", "five", "", " ", "5h", "h5", "'5'", '"5"'),
            *("5\x0b", "\x0c5", "5\x00", "\u00b2", "5\u00a0", "\u00a05", "\u0085" + "5", "\u0665".encode().decode("latin-1")),
            *("NaN", "inf", "null", "0b1", "0o5", "5L", "{5}"),
        ],
    )
    def test_malformed(self, server: Server, value: str) -> None:
        """Section 6.3, rule 5: MUST answer 400 and close."""
        server.refuses(request("/", f"Content-Length: {value}", method="POST") + b"hello", 400)

    @pytest.mark.parametrize(
        "values", [["5, 5"], ["5,5"], ["5", "5"], ["5", "6"], ["5, 6"], ["0", "5"], ["5", ""], ["5", "x"], ["5, "], ["5", "5", "5"]]
    )
    def test_repeated(self, server: Server, values: list[str]) -> None:
        """Section 6.3, rule 5: MUST answer 400 to a list of different values, and MAY to one of equal values; we do."""
        server.refuses(request("/", *(f"Content-Length: {value}" for value in values), method="POST") + b"hello", 400)

    @pytest.mark.parametrize(
        "value", [str(1 << 63), str((1 << 64) - 1), str(1 << 64), str((1 << 64) + 5), str((1 << 32) + 5), "9" * 40, "9" * 1000]
    )
    def test_great_numbers(self, server: Server, value: str) -> None:
        """RFC 9110 section 8.6: MUST anticipate large numerals, and prevent errors by overflow."""
        server.refuses(request("/", f"Content-Length: {value}", method="POST") + b"hello", 400, 413)

    def test_zero(self, server: Server) -> None:
        answer = server.serves(request("/", "Content-Length: 0", method="POST"))
        assert (answer.received, answer.environ.get("CONTENT_LENGTH", "0") or "0") == (b"", "0")


class TestLength:
    """Section 6.3."""

    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
    def test_of_a_request_without_framing_is_zero(self, server: Server, method: str) -> None:
        """Rule 7: a request with neither field has no body; what follows is the next request."""
        answer = server.serves(request("/", "Content-Type: text/plain", method=method))
        assert answer.received == b""

    def test_body_of_head(self, server: Server) -> None:
        """The body of a HEAD request is read as any other's (RFC 9110 section 9.3.2)."""
        server.serves(request("/", method="HEAD", body=b"hello"), "HEAD")

    @pytest.mark.parametrize("target", ["/ignore", "/fail", "/status?of=204+No", "/status?of=304+No", "/length", "/stream"])
    @pytest.mark.parametrize("coding", ["Content-Length: 40000", "Transfer-Encoding: chunked"])
    def test_body_that_the_application_does_not_read(self, server: Server, target: str, coding: str) -> None:
        """The rest of an unread body MUST NOT be taken for the next request: it is skipped, or the connection closed."""
        body = b"GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n".ljust(40000, b"x")
        with server.connect() as wire:
            before = server.reached()
            wire.send(request(target, coding, method="POST") + (chunked(body) if "chunked" in coding else body))
            response = wire.final()
            if "close" in response.options():
                wire.ends()
            else:
                wire.send(request("/next"))
                assert wire.final().environ["PATH_INFO"] == "/next"
                before += 1
            assert server.reached() == before + 1

    @pytest.mark.parametrize("size", [65535, 65536, 65537, 512 * 1024, 512 * 1024 + 1, MAX_BODY])
    @pytest.mark.parametrize("coding", ["length", "chunked"])
    def test_large(self, server: Server, size: int, coding: str) -> None:
        """Bodies in memory and beyond, up to the limit: all octets arrive."""
        body = bytes(range(251)) * (size // 251 + 1)
        body = body[:size]
        if coding == "length":
            data = request("/size", method="POST", body=body)
        else:
            pieces = [body[at : at + 60_000] for at in range(0, size, 60_000)]
            data = request("/size", "Transfer-Encoding: chunked", method="POST", body=chunked(*pieces))
        with server.connect() as wire:
            wire.send(data + request("/size", method="POST", body=b"abc"))
            assert [int(wire.final().body), int(wire.final().body)] == [size, 3]

    @pytest.mark.parametrize("size", [600_000, 300_000])
    def test_large_body_is_whole(self, server: Server, size: int) -> None:
        body = bytes(range(251)) * (size // 251)
        assert server.serves(request("/", method="POST", body=body)).received == body
