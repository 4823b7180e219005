"""RFC 9112 section 7: the chunked coding, its extensions and its trailer section."""

from __future__ import annotations

import pytest
from rawhttp import Response, chunked, request
from subject import MAX_BODY, MAX_HEAD, Server

HEAD = request("/", "Transfer-Encoding: chunked", method="POST")
END = b"0\r\n\r\n"


def accepts(server: Server, body: bytes) -> Response:
    return server.serves(HEAD + body)


def refuses(server: Server, body: bytes, *statuses: int) -> None:
    server.refuses(HEAD + body, *(statuses or (400,)))


class TestChunks:
    """Section 7.1."""

    @pytest.mark.parametrize(
        ("body", "content"),
        [
            (b"0\r\n\r\n", b""),
            (b"00\r\n\r\n", b""),
            (b"000000\r\n\r\n", b""),
            (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
            (b"005\r\nhello\r\n000\r\n\r\n", b"hello"),
            (b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello"),
            (b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
            (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
            (b"1a\r\n" + b"x" * 26 + b"\r\n0\r\n\r\n", b"x" * 26),
            (b"1A\r\n" + b"x" * 26 + b"\r\n0\r\n\r\n", b"x" * 26),
            (b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
            (b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n"),
            (b"1\r\n\x00\r\n1\r\n\xff\r\n0\r\n\r\n", b"\x00\xff"),
            (chunked(*[b"x"] * 5000), b"x" * 5000),
            (chunked(*[b"y" * 1000] * 100), b"y" * 100_000),
        ],
    )
    def test_are_decoded(self, server: Server, body: bytes, content: bytes) -> None:
        """MUST be able to parse and decode the chunked coding; the application sees the content and its length."""
        answer = accepts(server, body)
        assert answer.received == content
        assert answer.environ["CONTENT_LENGTH"] == str(len(content))

    @pytest.mark.parametrize(
        "size",
        [
            *(b"", b" ", b"+5", b"-5", b"0x5", b"5_0", b"_5", b"5h", b"g", b"5.0", b"5,5", b"5 5", b" 5", b"\t5", b"5 "),
            *(b"5\t", b"five", b"'5'", b"5\x00", b"\x005", b"\x0b5", b"5\x0b", b"5\x0c", b"\xa05", b"5\xa0", b"\xc2\xb2"),
            *(b"\xd9\xa5", b"5:", b"5=", b"5#", b"#5", b"5/", b"5\x85", b"5\x1f", b"{5}"),
        ],
    )
    def test_malformed_size(self, server: Server, size: bytes) -> None:
        """chunk-size is 1*HEXDIG: 400."""
        refuses(server, size + b"\r\nhello\r\n" + END)

    @pytest.mark.parametrize("size", [b"-0", b"+0", b"0x0", b"0_0", b"", b" 0", b"0 ", b"0h", b"o"])
    def test_malformed_last_size(self, server: Server, size: bytes) -> None:
        refuses(server, b"5\r\nhello\r\n" + size + b"\r\n\r\n")

    @pytest.mark.parametrize("size", [b"10000000000000000", b"10000000000000005", b"1" * 17, b"f" * 17, b"f" * 40])
    def test_sizes_of_more_than_64_bits(self, server: Server, size: bytes) -> None:
        """MUST anticipate large hexadecimal numerals, and prevent errors by overflow."""
        refuses(server, size + b"\r\nhello\r\n" + END, 400, 413)

    @pytest.mark.parametrize(
        "size", [b"100000005", b"7fffffffffffffff", b"8000000000000000", b"8000000000000005", b"fffffffffffffffb", b"ffffffffffffffff"]
    )
    def test_great_sizes(self, server: Server, size: bytes) -> None:
        """MUST prevent errors by overflow: such a chunk is refused, or waited for; it never ends early."""
        before = server.reached()
        with server.connect() as wire:
            wire.send(HEAD + size + b"\r\nhello\r\n" + END + request("/smuggled"))
            wire.half_close()
            assert all(400 <= response.status < 500 for response in wire.all())
        assert server.reached() == before

    @pytest.mark.parametrize(
        "body",
        [
            *(b"5\r\nhello0\r\n\r\n", b"5\r\nhelloX\r\n0\r\n\r\n", b"5\r\nhello!!0\r\n\r\n", b"4\r\nhello\r\n0\r\n\r\n"),
            *(b"6\r\nhello\r\n0\r\n\r\n", b"7\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\n0\r\n\r\n", b"5\r\nhello\r0\r\n\r\n"),
            *(b"5\r\nhello\r\r\n0\r\n\r\n", b"5\r\nhello\n\r0\r\n\r\n", b"5\r\nhello\r\n\r\n0\r\n\r\n"),
            b"5\r\nhello \r\n0\r\n\r\n",
        ],
    )
    def test_data_is_ended_by_crlf(self, server: Server, body: bytes) -> None:
        """chunk-data CRLF: 400 for anything else."""
        refuses(server, body)

    @pytest.mark.parametrize(
        "body",
        [
            b"5\nhello\r\n0\r\n\r\n",
            b"5\rhello\r\n0\r\n\r\n",
            b"5\r\rhello\r\n0\r\n\r\n",
            b"5\n\rhello\r\n0\r\n\r\n",
            b"5\r\nhello\r\n0\n\r\n",
            b"5\r\nhello\r\n0\n\n",
        ],
    )
    def test_size_is_ended_by_crlf(self, server: Server, body: bytes) -> None:
        """Section 2.2 of RFC 9112, which lets a lone LF end a line, is not about chunks: 400."""
        refuses(server, body)

    @pytest.mark.parametrize("body", [b"0\r\n\n", b"0\r\n\r\r\n", b"0\r\nX", b"0\r\n\rX", b"0\r\n\r\x00"])
    def test_last_crlf(self, server: Server, body: bytes) -> None:
        refuses(server, body)

    def test_leading_zeros_without_end(self, server: Server) -> None:
        """A size line MUST NOT be unbounded."""
        with server.connect() as wire:
            wire.send(HEAD + b"0" * (MAX_HEAD + 1))
            assert wire.final().status in (400, 413, 431)
            wire.ends()

    @pytest.mark.parametrize("piece", [1, 1000, 65536])
    def test_content_over_the_limit(self, server: Server, piece: int) -> None:
        """413 by counting what arrives (RFC 9110 section 15.5.14), however it is cut."""
        count = min(MAX_BODY // piece + 1, 3000)
        before = server.reached()
        with server.connect() as wire:
            wire.send(HEAD)
            if piece == 1:
                wire.send(b"%x\r\n" % (MAX_BODY - 1000) + b"x" * (MAX_BODY - 1000) + b"\r\n")
            wire.send((b"%x\r\n" % piece + b"x" * piece + b"\r\n") * count)
            assert wire.final().status == 413
            wire.ends()
        assert server.reached() == before


class TestExtensions:
    """Section 7.1.1."""

    @pytest.mark.parametrize(
        "extension",
        [
            *(b";a", b";a=b", b';a="b"', b";a=b;c=d", b';a="b c;d=\\"e\\"\t"', b';a=""', b";!#$%&'*+-.^_`|~=1", b';a="\xe9"'),
            *(b";a=0;b", b";ieof"),
        ],
    )
    def test_are_ignored(self, server: Server, extension: bytes) -> None:
        """MUST ignore unrecognized chunk extensions."""
        body = b"5" + extension + b"\r\nhello\r\n0" + extension + b"\r\n\r\n"
        assert accepts(server, body).received == b"hello"

    @pytest.mark.parametrize("extension", [b" ;a=b", b"; a=b", b"\t;\ta", b";a =b", b";a= b", b" ; a = b"])
    def test_bad_white_space(self, server: Server, extension: bytes) -> None:
        """MUST parse for white space that is there for historical reasons (BWS, RFC 9110 section 5.6.3)."""
        assert accepts(server, b"5" + extension + b"\r\nhello\r\n0\r\n\r\n").received == b"hello"

    @pytest.mark.parametrize(
        "extension",
        [
            *(
                b";=b",
                b";a=",
                b";",
                b";;",
                b";a;",
                b";a==b",
                b";a=b=c",
                b";a,b",
                b";a:b",
                b";a b",
                b";a=b c",
                b';a="b',
            ),
            *(b';a="b"c', b';"a"', b";(a)", b";\xe9", b";a=\xe9", b";a\x00", b";a=\x00", b';a="\x00"', b';a="\x7f"'),
            *(b";a\x0b=b", b";a=b\x1f", b";\x7f", b";a\rb", b";a=\rb", b';a="\r"', b";a=[b]"),
        ],
    )
    @pytest.mark.parametrize("size", [b"5", b"0"])
    def test_malformed(self, server: Server, extension: bytes, size: bytes) -> None:
        """chunk-ext-name is a token, chunk-ext-val a token or quoted string: 400."""
        if size == b"5":
            refuses(server, b"5" + extension + b"\r\nhello\r\n0\r\n\r\n")
        else:
            refuses(server, b"5\r\nhello\r\n0" + extension + b"\r\n\r\n")

    @pytest.mark.parametrize(
        "body",
        [
            b"5;a\nhello\r\n0\r\n\r\n",
            b"5;a=b\nhello\r\n0\r\n\r\n",
            b'5;a="\n"\r\nhello\r\n0\r\n\r\n',
            b'5;a="\r\n"\r\nhello\r\n0\r\n\r\n',
            b"5;\n\r\nhello\r\n0\r\n\r\n",
        ],
    )
    def test_line_ends(self, server: Server, body: bytes) -> None:
        """A lone LF, or a CRLF in a quoted string, is no end of line to some and is one to others (request smuggling): 400."""
        refuses(server, body)

    @pytest.mark.parametrize("start", [b";", b";a=", b';a="'])
    def test_without_end(self, server: Server, start: bytes) -> None:
        """SHOULD limit the total length of chunk extensions, and answer a 4xx."""
        with server.connect() as wire:
            wire.send(HEAD + b"5" + start + b"a" * (MAX_HEAD + 1))
            assert 400 <= wire.final().status < 500
            wire.ends()

    def test_total_length(self, server: Server) -> None:
        """SHOULD limit the total length of chunk extensions received in a request: they are no way around the limits."""
        before = server.reached()
        with server.connect() as wire:
            wire.send(HEAD + (b"1;" + b"a" * 4000 + b"\r\nx\r\n") * 100 + END)
            assert 400 <= wire.final().status < 500
            wire.ends()
        assert server.reached() == before


class TestTrailers:
    """Section 7.1.2, and RFC 9110 section 6.5."""

    @pytest.mark.parametrize(
        "trailers", ["X-T: v\r\n", "X-T: v\r\nX-U:\r\n", "X-T: a\r\nX-T: b\r\n", "Digest: sha-256=abc\r\n", "X-T:v \t\r\n"]
    )
    def test_are_not_merged_into_the_header(self, server: Server, trailers: str) -> None:
        """MUST NOT merge a trailer field into the header section, unless its definition permits; the application sees none."""
        answer = accepts(server, chunked(b"hello", trailers=trailers))
        assert answer.received == b"hello"
        assert not {"HTTP_X_T", "HTTP_X_U", "HTTP_DIGEST"} & answer.environ.keys()

    @pytest.mark.parametrize(
        "line",
        [
            *("Content-Length: 5", "Content-Length: 0", "Transfer-Encoding: chunked", "Host: b.example"),
            *("Authorization: Basic eDp5", "Cookie: a=b", "Connection: close", "Content-Type: text/html"),
            *("Content-Encoding: gzip", "Content-Range: bytes 0-1/2", "Expect: 100-continue", "TE: trailers", "Trailer: X-T"),
            *("Upgrade: h2c", "Keep-Alive: 5", "Proxy-Authorization: Basic eDp5", "Set-Cookie: a=b", "Max-Forwards: 1"),
            *("Cache-Control: no-store", "content-length: 5", "TRANSFER-ENCODING: chunked", "If-Match: *", "Range: bytes=0-1"),
        ],
    )
    def test_forbidden_fields(self, server: Server, line: str) -> None:
        """RFC 9110 section 6.5.1: no fields for framing, routing, authentication, request modifiers or content: 400."""
        refuses(server, chunked(b"hello", trailers=f"X-T: v\r\n{line}\r\n"))

    @pytest.mark.parametrize(
        "trailers",
        [
            *("X-T\r\n", "X-T : v\r\n", ": v\r\n", "X T: v\r\n", "X-T: a\r\n b\r\n", " X-T: v\r\n", "\tX-T: v\r\n"),
            *("X-T: a\x00b\r\n", "X-T: a\x01\r\n", "X-T: a\x7f\r\n", "X-T: a\n", "X-T: a\n\r\n", "X-T: a\rX-U: b\r\n"),
            *("X-T: a\nX-U: b\r\n", "X\x00T: v\r\n", "X-\u00e9: v\r\n", "X-T: a\r\n\n", "(X-T): a\r\n"),
        ],
    )
    def test_malformed(self, server: Server, trailers: str) -> None:
        """The trailer section has the syntax of the header section: 400."""
        refuses(server, chunked(b"hello", trailers=trailers))

    @pytest.mark.parametrize(
        "trailers", ["X-T: " + "a" * MAX_HEAD + "\r\n", "X-T: a\r\n" * (MAX_HEAD // 8 + 1), "X" * MAX_HEAD + ": a\r\n"]
    )
    def test_too_large(self, server: Server, trailers: str) -> None:
        """Trailers are limited as headers are (RFC 6585 section 5)."""
        refuses(server, chunked(b"hello", trailers=trailers), 400, 431)

    def test_without_end(self, server: Server) -> None:
        with server.connect() as wire:
            wire.send(HEAD + b"5\r\nhello\r\n0\r\nX-T: " + b"a" * (MAX_HEAD + 1))
            assert wire.final().status in (400, 431)
            wire.ends()

    def test_request_line_is_no_trailer(self, server: Server) -> None:
        """What follows the last chunk without an empty line is not the next request: 400."""
        refuses(server, b"5\r\nhello\r\n0\r\n")
