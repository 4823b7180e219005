"""`hendrix.wire.http1` and `hendrix.wire.chunked`: where content ends, in every way to cut it into reads."""

from __future__ import annotations

import errno
import io
from typing import Any

import pytest
from reading import AFTER, BEFORE, accepts, chunked, cuts, head, new_parser, post, read, refuses

from hendrix.errors import PeerError
from hendrix.wire.http1 import CONTENT, HEAD, IDLE

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


class TestLength:
    @pytest.mark.parametrize("body", [b"h", b"hello", b"\r\n", b"\r\n\r\n", b"0\r\n\r\n", b"\0" * 100, SMUGGLED, b"x" * 3000], ids=repr)
    @pytest.mark.parametrize("method", ["POST", "PUT", "GET", "DELETE", "HEAD", "OPTIONS"])
    def test_content(self, method: str, body: bytes) -> None:
        data = head(f"Content-Length: {len(body)}", method=method) + body
        seen = accepts(data)
        assert (seen.body, seen.fields["CONTENT_LENGTH"]) == (body, str(len(body)))

    @pytest.mark.parametrize("length", ["0", "00"])
    def test_nothing(self, length: str) -> None:
        seen = accepts(head(f"Content-Length: {length}", method="POST"))
        assert (seen.body, seen.fields["CONTENT_LENGTH"]) == (None, length)

    def test_none(self) -> None:
        seen = accepts(head(method="POST"))
        assert seen.body is None
        assert "CONTENT_LENGTH" not in seen.fields

    def test_leading_zeros(self) -> None:
        assert accepts(head("Content-Length: 0005", method="POST") + b"hello").body == b"hello"

    @pytest.mark.parametrize("space", ["", " ", "\t", "  \t "])
    def test_white_space(self, space: str) -> None:
        assert accepts(head(f"Content-Length:{space}5", method="POST") + b"hello").body == b"hello"

    @pytest.mark.parametrize(
        "value",
        [
            *(
                "",
                " ",
                "-1",
                "+5",
                "0x5",
                "5_0",
                "5.0",
                "5e1",
                "5,5",
                "5, 5",
                "5;",
                "5 5",
                "five",
                "\xb2",
                "5\x00",
                "\x0b5",
                "5\xa0",
                "'5'",
            ),
            *("18446744073709551616", "99999999999999999999999", "1" * 5000),
        ],
    )
    def test_malformed(self, value: str) -> None:
        refuses(head(f"Content-Length: {value}", method="POST") + b"hello", 400)

    @pytest.mark.parametrize("values", [("5", "5"), ("5", "6"), ("6", "5"), ("0", "5"), ("", "5"), ("5", "")])
    def test_repeated(self, values: tuple[str, str]) -> None:
        refuses(head(*(f"Content-Length: {value}" for value in values), method="POST") + b"hello", 400)

    @pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
    @pytest.mark.parametrize("order", [1, -1])
    def test_with_transfer_encoding(self, order: int, version: str) -> None:
        lines = ["Content-Length: 5", "Transfer-Encoding: chunked"][::order]
        refuses(head(*lines, method="POST", version=version) + b"0\r\n\r\n", 400)


class TestTransferEncoding:
    BODY = b"5\r\nhello\r\n0\r\n\r\n"

    @pytest.mark.parametrize("coding", ["chunked", "Chunked", "CHUNKED", " chunked", "\tchunked", "chunked "])
    def test_chunked(self, coding: str) -> None:
        seen = accepts(head(f"Transfer-Encoding:{coding}", method="POST") + self.BODY)
        assert seen.body == b"hello"
        assert seen.fields == {"HTTP_HOST": "a", "CONTENT_LENGTH": "5"}

    @pytest.mark.parametrize("codings", [["gzip, chunked"], ["gzip", "chunked"], ["identity, chunked"], [", chunked"], ["x;q=1, chunked"]])
    def test_unknown(self, codings: list[str]) -> None:
        refuses(head(*(f"Transfer-Encoding: {coding}" for coding in codings), method="POST") + self.BODY, 501)

    @pytest.mark.parametrize(
        "codings",
        [
            *(
                ["gzip"],
                ["identity"],
                ["chunked, gzip"],
                ["chunked", "gzip"],
                ["chunked, chunked"],
                ["chunked", "chunked"],
                [""],
                ["", "chunked"],
            ),
            *(
                ["xchunked"],
                ["chunkedx"],
                ["chunked,"],
                ["chunked;a=b"],
                ["chun ked"],
                ['"chunked"'],
                ["chunked\x0b"],
                ["\xa0chunked"],
                ["chunked\x85"],
            ),
            *(["chunked, identity"], ["chunked", "identity"]),
        ],
    )
    def test_not_chunked_at_last(self, codings: list[str]) -> None:
        refuses(head(*(f"Transfer-Encoding: {coding}" for coding in codings), method="POST") + self.BODY, 400, 501)

    @pytest.mark.parametrize("line", ["Transfer_Encoding: chunked", "X-Transfer-Encoding: chunked", "TransferEncoding: chunked"])
    def test_other_fields(self, line: str) -> None:
        assert accepts(head(line, method="POST")).body is None

    def test_in_http_1_0(self) -> None:
        for connection in ("close", "keep-alive"):
            refuses(chunked(self.BODY, f"Connection: {connection}", version="HTTP/1.0"), 400)


class TestChunks:
    @pytest.mark.parametrize(
        ("framed", "body"),
        [
            (b"0\r\n\r\n", b""),
            (b"000\r\n\r\n", b""),
            (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
            (b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"hello world"),
            (b"005\r\nhello\r\n" + b"0" * 100 + b"\r\n\r\n", b"hello"),
            (b"1\r\n\r\r\n1\r\n\n\r\n0\r\n\r\n", b"\r\n"),
            (b"4\r\n\r\n\r\n\r\n4\r\n0\r\n\r\r\n0\r\n\r\n", b"\r\n\r\n0\r\n\r"),
            (b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", b"0123456789" * 2),
            (b"1F\r\n" + b"x" * 31 + b"\r\n0\r\n\r\n", b"x" * 31),
            (b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED), SMUGGLED),
        ],
    )
    def test_content(self, framed: bytes, body: bytes) -> None:
        seen = accepts(chunked(framed))
        assert (seen.body, seen.fields["CONTENT_LENGTH"]) == (body, str(len(body)))

    @pytest.mark.parametrize(
        "size",
        [b"", b" ", b" 5", b"5 ", b"\t5", b"5\t", b"-5", b"+5", b"0x5", b"5_0", b"5h", b"g", b"5.0", b"5,", b"5:", b"\x005", b"5\x00"],
    )
    def test_malformed_size(self, size: bytes) -> None:
        for before in (b"", b"3\r\nabc\r\n"):
            refuses(chunked(before + size + b"\r\nhello\r\n0\r\n\r\n"), 400)
            refuses(chunked(before + size.replace(b"5", b"0") + b"\r\n\r\n"), 400)

    def test_each_byte_of_a_size(self) -> None:
        for code in range(256):
            digit = bytes([code])
            for size in (digit, b"0" + digit):
                outcome = read([chunked(size + b"\r\n" + b"x" * 15 + b"\r\n0\r\n\r\n")])
                if digit in b"fF":
                    assert outcome.one.body == b"x" * 15
                else:
                    assert not [seen for seen in outcome.requests if seen.body]

    @pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\r\n", b"\n\r", b"x\r\n", b" \r\n", b"\r\n\r\n", b"\0\r\n"])
    def test_wrong_end_of_a_chunk(self, end: bytes) -> None:
        refuses(chunked(b"5\r\nhello" + end + b"0\r\n\r\n"), 400)

    @pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\r\n", b"\n\r\n", b"\0\r\n", b""])
    def test_wrong_end_of_a_size(self, end: bytes) -> None:
        refuses(chunked(b"5" + end + b"hello\r\n0\r\n\r\n"), 400)
        refuses(chunked(b"5\r\nhello\r\n0" + end + b"\r\n"), 400) if end else None

    @pytest.mark.parametrize("end", [b"\n", b"\r\r\n", b"x", b"\0\r\n", b" \r\n", b"\rX\r\n"])
    def test_wrong_last_line(self, end: bytes) -> None:
        refuses(chunked(b"5\r\nhello\r\n0\r\n" + end), 400)

    @pytest.mark.parametrize("size", [b"1" + b"0" * 16, b"f" * 17, b"f" * 1000, b"0" * 20 + b"1" + b"0" * 16])
    def test_overflow(self, size: bytes) -> None:
        refuses(chunked(size + b"\r\nhello\r\n0\r\n\r\n"), 400)

    @pytest.mark.parametrize("size", [b"100000005", b"7fffffffffffffff", b"ffffffffffffffff", b"fffffffffffffffb"])
    def test_great_sizes_do_not_end_early(self, size: bytes) -> None:
        outcome = read([BEFORE + chunked(size + b"\r\nhello\r\n0\r\n\r\n") + SMUGGLED])
        assert [seen.target for seen in outcome.requests] == ["/before"]

    @pytest.mark.parametrize(
        "extension",
        [
            *(
                b";a",
                b";a=b",
                b";a=b;c;d=e",
                b';a="b"',
                b';a=""',
                b';a="b;c=d"',
                b';a="\\""',
                b';a="\\\\"',
                b';a="\t \xff\x80"',
                b";!#$%&'*+-.^_`|~=1",
            ),
            *(b" ;a=b", b"; a=b", b"\t;\ta", b";a =b", b";a= b", b" \t; \ta \t= \tb ;c", b';a= "b" ;c'),
        ],
    )
    def test_extension(self, extension: bytes) -> None:
        """RFC 9112 section 7.1.1; white space is not to be sent, but to be borne (RFC 9110 section 5.6.3)."""
        data = chunked(b"5" + extension + b"\r\nhello\r\n3" + extension * 2 + b"\r\nabc\r\n0" + extension + b"\r\n\r\n")
        assert accepts(data).body == b"helloabc"

    @pytest.mark.parametrize(
        "extension",
        [
            *(
                b";",
                b";;",
                b";=b",
                b";a=",
                b";a;",
                b" ; ",
                b"; ;a",
                b";a b",
                b";a=b c",
                b";a==b",
                b";a=b=c",
                b';a="b',
                b';a=b"',
                b';"a"=b',
                b";a,b",
            ),
            *(
                b';a="b"c',
                b';a="\n"',
                b';a="\r\n"',
                b';a="\\',
                b';a="\\\r\n',
                b";a\0",
                b";a=\x7f",
                b';a="\0"',
                b';a="\x7f"',
                b";a\n",
                b";a\r",
                b";\xe9",
                b"a=b",
            ),
            *(b";a=b ", b" ", b";a\r;b"),
        ],
    )
    def test_malformed_extension(self, extension: bytes) -> None:
        refuses(chunked(b"5" + extension + b"\r\nhello\r\n0\r\n\r\n"), 400)
        refuses(chunked(b"5\r\nhello\r\n0" + extension + b"\r\n\r\n"), 400)


class TestTrailers:
    @pytest.mark.parametrize(
        "lines", [b"X: a\r\n", b"X:\r\n", b"X:a\r\nY: \xe9\t \r\n", b"X: a\r\nX: b\r\n", b"X_Y: a\r\n", b"Proxy: a\r\n", b"!: b\r\n"]
    )
    def test_are_dropped(self, lines: bytes) -> None:
        seen = accepts(chunked(b"5\r\nhello\r\n0\r\n" + lines + b"\r\n"))
        assert (seen.body, seen.fields) == (b"hello", {"HTTP_HOST": "a", "CONTENT_LENGTH": "5"})

    @pytest.mark.parametrize(
        "name",
        [
            *(
                "Content-Length",
                "Transfer-Encoding",
                "Host",
                "Connection",
                "Content-Type",
                "Content-Encoding",
                "Content-Range",
                "Authorization",
            ),
            *("Cookie", "Set-Cookie", "Expect", "TE", "Trailer", "Upgrade", "X-Forwarded-For", "Forwarded", "host", "CONTENT-LENGTH"),
        ],
    )
    def test_forbidden(self, name: str) -> None:
        """RFC 9110 section 6.5.1."""
        for lines in (f"{name}: 5\r\n", f"X: a\r\n{name}: 5\r\n"):
            reason = refuses(chunked(b"5\r\nhello\r\n0\r\n" + lines.encode() + b"\r\n"), 400)
            assert name in reason

    @pytest.mark.parametrize(
        "line",
        [
            b"X : a",
            b"X",
            b": a",
            b" X: a",
            b"X: a\r\n b",
            b"X: a\n",
            b"X: a\r",
            b"X: \0",
            b"X: \x7f",
            b"\xe9: a",
            b"GET / HTTP/1.1",
            b"X(: a",
        ],
    )
    def test_malformed(self, line: bytes) -> None:
        refuses(chunked(b"0\r\n" + line + b"\r\n\r\n"), 400)
        refuses(chunked(b"0\r\nY: b\r\n" + line + b"\r\n\r\n"), 400)


class TestExpect:
    """RFC 9110 section 10.1.1."""

    LINES = ("Expect: 100-continue", "Content-Length: 5")

    def test_is_wanted_until_content_comes(self) -> None:
        parser = new_parser()
        wanted = []
        for data in (head(*self.LINES, method="POST"), b"h", b"ello"):
            parser.feed(data)
            wanted.append(parser.wants_continue)
        assert wanted == [True, False, False]
        assert len(parser.requests) == 1

    def test_chunked(self) -> None:
        parser = new_parser()
        parser.feed(chunked(b"", "Expect: 100-Continue"))
        assert parser.wants_continue
        parser.feed(b"0")
        assert not parser.wants_continue

    def test_content_that_comes_along(self) -> None:
        parser = new_parser()
        parser.feed(head(*self.LINES, method="POST") + b"h")
        assert not parser.wants_continue

    def test_reaches_the_application(self) -> None:
        assert accepts(head(*self.LINES, method="POST") + b"hello").fields["HTTP_EXPECT"] == "100-continue"

    @pytest.mark.parametrize("lines", [["Content-Length: 0"], []])
    def test_without_content(self, lines: list[str]) -> None:
        parser = new_parser()
        parser.feed(head("Expect: 100-continue", *lines, method="POST"))
        assert not parser.wants_continue
        assert len(parser.requests) == 1

    def test_http_1_0(self) -> None:
        parser = new_parser()
        parser.feed(head(*self.LINES, method="POST", version="HTTP/1.0"))
        assert not parser.wants_continue

    @pytest.mark.parametrize(
        "lines", [["Expect: x"], ["Expect: 100-continue, x"], ["Expect: x", "Expect: 100-continue"], ["Expect:"], ["Expect: 200-ok"]]
    )
    def test_unknown(self, lines: list[str]) -> None:
        refuses(head(*lines, method="POST"), 417)
        refuses(head(*lines, "Content-Length: 5", method="POST") + b"hello", 417)

    def test_refused_content_is_not_asked_for(self) -> None:
        parser = new_parser(max_body=4)
        with pytest.raises(PeerError):
            parser.feed(head(*self.LINES, method="POST"))
        assert not parser.wants_continue


class Failing(io.BytesIO):
    """A disk that is full at a certain moment."""

    def __init__(self, moment: str) -> None:
        super().__init__()
        self.moment = moment

    def write(self, data: Any) -> int:
        if self.moment == "write" and self.tell() + len(data) > 3:
            raise OSError(errno.ENOSPC, "No space left on device /secret")
        return super().write(data)

    def seek(self, *arguments: int) -> int:
        if self.moment == "seek":
            raise OSError(errno.ENOSPC, "No space left on device /secret")
        return super().seek(*arguments)


class TestSink:
    def test_is_opened_for_the_size(self) -> None:
        sizes: list[int | None] = []

        def opened(size: int | None) -> io.BytesIO:
            sizes.append(size)
            return io.BytesIO()

        read([head() + post(b"") + post(b"hello") + chunked(b"0\r\n\r\n") + head(method="POST")], open_sink=opened)
        assert sizes == [5, None]

    def test_is_rewound(self) -> None:
        assert read([post(b"hello")]).one.body == b"hello"

    @pytest.mark.parametrize("moment", ["write", "seek"])
    @pytest.mark.parametrize("data", [post(b"hello"), chunked(b"5\r\nhello\r\n0\r\n\r\n"), chunked(b"1\r\nh\r\n4\r\nello\r\n0\r\n\r\n")])
    def test_disk_full(self, data: bytes, moment: str) -> None:
        """The client hears 503, and no more."""
        for pieces in cuts(data + AFTER):
            sink = Failing(moment)
            outcome = read([BEFORE, *pieces], open_sink=lambda size, sink=sink: sink)
            assert [seen.target for seen in outcome.requests] == ["/before"]
            assert (outcome.status, outcome.reason) == (503, "there is no room for the content")
            outcome.parser.close()
            assert sink.closed

    def test_close_lets_go(self) -> None:
        for data in (post(b"hello")[:-1], chunked(b"5\r\nhello\r\n0\r\n")):
            sink = io.BytesIO()
            outcome = read([data], open_sink=lambda size, sink=sink: sink)
            assert (outcome.requests, outcome.parser.stage, sink.closed) == ([], CONTENT, False)
            outcome.parser.close()
            outcome.parser.close()
            assert sink.closed
            outcome.parser.feed(AFTER)
            assert not outcome.parser.requests

    def test_close_leaves_the_content_of_complete_requests(self) -> None:
        parser = new_parser()
        parser.feed(post(b"hello"))
        parser.close()
        assert parser.requests[0].content.read() == b"hello"  # type: ignore[union-attr]


def test_stages() -> None:
    parser = new_parser()
    data = b"\r\n" + post(b"hello") + b"\r\n" + chunked(b"0\r\n\r\n")
    stages: list[int] = []
    for byte in data:
        parser.feed(bytes([byte]))
        if not stages or stages[-1] != parser.stage:
            stages.append(parser.stage)
    assert stages == [IDLE, HEAD, CONTENT, IDLE, HEAD, CONTENT, IDLE]


def test_within_the_handling_of_another_error() -> None:
    """httptools chains the errors of callbacks through `__context__`, which is then another's."""
    for data, status in (
        (head("Host: b"), 400),
        (b"\0", 400),
        (head(target="/" + "a" * 20_000), 414),
        (chunked(b"x\r\n"), 400),
        (post(b"x" * 9), 413),
    ):
        try:
            raise ValueError("of somebody else")
        except ValueError:
            outcome = read([BEFORE + data], max_body=8)
        assert (len(outcome.requests), outcome.status) == (1, status)


def test_bugs_are_not_hidden() -> None:
    """What a rule raises by mistake is no fault of the client."""

    def opened(size: int | None) -> io.BytesIO:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        new_parser(open_sink=opened).feed(post(b"hello"))
