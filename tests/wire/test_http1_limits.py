"""`hendrix.wire.http1`: each limit to the byte, and that nothing a client sends costs more than it should."""

from __future__ import annotations

import io
import time
import tracemalloc

import pytest
from reading import BEFORE, MAX_HEAD, accepts, chunked, cut, cuts, head, new_parser, post, read, refuses

from hendrix.errors import PeerError
from hendrix.wire.chunked import FRAMING_RATIO, MAX_FRAMING
from hendrix.wire.fields import MAX_FIELDS
from hendrix.wire.http1 import MAX_TARGET, RequestParser


def filled(size: int, fields: int = 1) -> bytes:
    """A head of so many bytes."""
    lines = [f"X-{number}: " for number in range(fields)]
    missing = size - len(head(*lines))
    lines = [line + "x" * (missing // fields) for line in lines]
    lines[0] += "x" * (missing % fields)
    data = head(*lines)
    assert len(data) == size
    return data


def flood(parser: RequestParser, part: bytes) -> tuple[int, int]:
    """Send this until it is refused. Returns how many bytes that took, and the status."""
    for number in range(1, 100_000):
        try:
            parser.feed(part)
        except PeerError as error:
            return number * len(part), error.status
    raise AssertionError("it is never refused")


class TestMaxHead:
    @pytest.mark.parametrize("limit", [200, 1000, MAX_HEAD])
    @pytest.mark.parametrize("fields", [1, 5])
    def test_exactly(self, limit: int, fields: int) -> None:
        """`accepts` and `refuses` try it in one read, in many, and after another request."""
        accepts(filled(limit, fields), max_head=limit)
        refuses(filled(limit + 1, fields), 431, max_head=limit)

    def test_byte_by_byte(self) -> None:
        assert read(cut(filled(1000), range(1000)), max_head=1000).status is None
        assert read(cut(filled(1001), range(1001)), max_head=1000).status == 431

    def test_with_content_in_the_same_read(self) -> None:
        """Content is not part of the head, nor are the requests around it."""
        data = post(b"x" * 100_000) + filled(1000) + chunked(b"186a0\r\n" + b"x" * 100_000 + b"\r\n0\r\n\r\n") + filled(1000)
        for pieces in cuts(data):
            assert len(read(pieces, max_head=1000).requests) == 4
        assert len(read([data + filled(1001)], max_head=1000).requests) == 4

    def test_empty_lines_are_not_part_of_it(self) -> None:
        accepts(b"\r\n" * 5000 + filled(1000), max_head=1000)

    def test_white_space_is(self) -> None:
        """As is all that the client sends and nobody sees."""
        refuses(head("X:" + " " * 1000), 431, max_head=1000)
        refuses(head(*["X_Y: " + "x" * 100] * 10), 431, max_head=1000)
        refuses(head(*["X-Forwarded-For: " + "1" * 100] * 10), 431, max_head=1000)

    @pytest.mark.parametrize("part", [b"x", b"X: y\r\n", b"X", b"X: ", b"\r\n", b"A:\r\n", b"\xff", b"\0"])
    def test_without_end(self, part: bytes) -> None:
        """It is refused as soon as it is too large."""
        parser = new_parser()
        parser.feed(b"GET / HTTP/1.1\r\n")
        assert flood(parser, part)[0] <= MAX_HEAD + len(part)
        assert not parser.requests

    def test_many_small_fields_within_the_limit(self) -> None:
        """The names that applications see are longer than those on the wire; they do not count."""
        data = head(*(f"{chr(97 + number % 26)}{number}:" for number in range(MAX_FIELDS - 1)))
        accepts(data, max_head=len(data))


class TestTarget:
    @pytest.mark.parametrize("start", ["/", "/?", "http://a/"])
    def test_exactly(self, start: str) -> None:
        accepts(head(target=start + "a" * (MAX_TARGET - len(start))))
        refuses(head(target=start + "a" * (MAX_TARGET - len(start) + 1)), 414)

    def test_in_a_small_head(self) -> None:
        refuses(head(target="/" + "a" * 500), 414, max_head=500)
        refuses(head("X: " + "a" * 500), 431, max_head=500)

    def test_without_end(self) -> None:
        for limit in (MAX_HEAD, 1000):
            parser = new_parser(max_head=limit)
            parser.feed(b"GET /")
            assert flood(parser, b"a" * 1000) == (17_000 if limit == MAX_HEAD else 1000, 414)


class TestFields:
    def test_number(self) -> None:
        accepts(head(*(f"X-{number}: 1" for number in range(MAX_FIELDS - 1))))
        refuses(head(*(f"X-{number}: 1" for number in range(MAX_FIELDS))), 431)

    @pytest.mark.parametrize("name", ["X", "Cookie", "X_Y", "Proxy", "X-Forwarded-For", "Expect"])
    def test_number_of_repeated(self, name: str) -> None:
        """Those that are joined, and those that are dropped."""
        value = "100-continue"
        outcome = read([head(*[f"{name}: {value}"] * (MAX_FIELDS - 1))])
        assert outcome.status == (417 if name == "Expect" else None)
        refuses(head(*[f"{name}: {value}"] * MAX_FIELDS), 431)
        refuses(head(*[f"{name}: {value}"] * 1000), 431)

    def test_number_is_counted_anew(self) -> None:
        data = head(*["X: 1", "Y_Z: 1"] * ((MAX_FIELDS - 1) // 2))
        assert len(read([data * 5]).requests) == 5

    def test_many_repeated_are_refused_early(self) -> None:
        """Joining them costs the square of their number."""
        outcome = read([head(*[f"X-Forwarded-For: {'1' * 10}"] * 200_000)], max_head=1 << 30)
        assert outcome.status == 431
        assert not outcome.parser._request.forwarded or len(outcome.parser._request.forwarded["HTTP_X_FORWARDED_FOR"]) < 10_000


class TestMaxBody:
    @pytest.mark.parametrize("limit", [0, 1, 10, 1000])
    def test_length(self, limit: int) -> None:
        accepts(post(b"x" * limit), max_body=limit)
        refuses(post(b"x" * (limit + 1)), 413, max_body=limit)

    def test_length_is_refused_before_the_content_comes(self) -> None:
        with pytest.raises(PeerError) as caught:
            new_parser(max_body=10, open_sink=lambda size: pytest.fail("opened")).feed(head("Content-Length: 11"))
        assert caught.value.status == 413

    @pytest.mark.parametrize("limit", [0, 1, 10, 1000])
    @pytest.mark.parametrize("piece", [1, 7, 1000])
    def test_chunked(self, limit: int, piece: int) -> None:
        def of(size: int) -> bytes:
            body = b"x" * size
            pieces = [body[start : start + piece] for start in range(0, size, piece)]
            return chunked(b"".join(b"%x\r\n%b\r\n" % (len(data), data) for data in pieces) + b"0\r\n\r\n")

        accepts(of(limit), max_body=limit)
        refuses(of(limit + 1), 413, max_body=limit)

    def test_nothing_is_stored_above_it(self) -> None:
        sink = io.BytesIO()
        read([chunked(b"5\r\nhello\r\n5\r\nworld\r\n")], max_body=9, open_sink=lambda size: sink)
        assert sink.getvalue() == b"hello"


class TestFraming:
    """RFC 9112 section 7.1.1: a recipient ought to limit the length of chunk extensions."""

    def test_one_line(self) -> None:
        def of(size: int) -> bytes:
            return chunked(b"5;" + b"a" * (size - 4) + b"\r\nhello\r\n0\r\n\r\n")

        accepts(of(MAX_FRAMING))
        refuses(of(MAX_FRAMING + 1), 400)

    @pytest.mark.parametrize("start", [b"0", b"5", b"5;", b"5;a=", b'5;a="', b"5;a ", b"5 ", b"5\r\nhello\r\n0", b"5\r\nhello\r\n5;a="])
    @pytest.mark.parametrize("more", [b"0", b"a", b" ", b";a", b'"', b"\\"])
    def test_line_without_end(self, start: bytes, more: bytes) -> None:
        parser = new_parser()
        parser.feed(chunked(start))
        sent, status = flood(parser, more * 100)
        assert status == 400
        assert sent <= MAX_FRAMING + FRAMING_RATIO * 10 + 200

    def test_all_lines(self) -> None:
        """Each byte of content may have some; a megabyte for a few of them is an attack."""
        accepts(chunked(b"1;a=b\r\nx\r\n" * 2000 + b"0\r\n\r\n"))
        refuses(chunked(b"1;" + b"a" * 1000 + b"\r\nx\r\n" + (b"1;" + b"a" * 1000 + b"\r\nx\r\n") * 100 + b"0\r\n\r\n"), 400)


class TestTrailers:
    def test_number(self) -> None:
        accepts(chunked(b"0\r\n" + b"X: a\r\n" * MAX_FIELDS + b"\r\n"))
        refuses(chunked(b"0\r\n" + b"X: a\r\n" * (MAX_FIELDS + 1) + b"\r\n"), 431)

    def test_size(self) -> None:
        def of(size: int) -> bytes:
            return chunked(b"0\r\nX: a\r\nY:" + b"y" * (size - 10) + b"\r\n\r\n")

        accepts(of(MAX_FRAMING))
        refuses(of(MAX_FRAMING + 1), 431)

    def test_without_end(self) -> None:
        for more in (b"x", b"X: y\r\n", b"X", b"\r"):
            parser = new_parser()
            parser.feed(chunked(b"0\r\n"))
            assert flood(parser, more * 50)[0] <= MAX_FRAMING + 300


class TestCost:
    """Of a client that means harm: linear in what it sends."""

    @pytest.mark.parametrize(
        ("start", "part"),
        [
            (b"", head()),
            (b"", b"\r\n"),
            (b"", head("Connection: Upgrade", "Upgrade: x")),
            (chunked(b""), b"1\r\nx\r\n"),
            (chunked(b""), b"1;a;b;c;d;e;f\r\nx\r\n"),
            (chunked(b""), b"4\r\n\r\n\r\n\r\n"),
            (b"", post(b"x")),
            (b"", chunked(b"0\r\nX: y\r\n\r\n")),
        ],
    )
    def test_time_is_linear(self, start: bytes, part: bytes) -> None:
        def seconds(size: int) -> float:
            data = part * (size // len(part))
            best = 1e9
            for _ in range(5):
                parser = new_parser(max_body=1 << 30)
                parser.feed(start or BEFORE)
                began = time.thread_time()
                parser.feed(data)
                best = min(best, time.thread_time() - began)
            return best

        assert seconds(8 * 50_000) < 30 * seconds(50_000)

    @pytest.mark.parametrize(
        "data",
        [
            b"GET /" + b"a" * 16_000,
            b"GET / HTTP/1.1\r\nX: " + b"a" * 32_000,
            chunked(b"5;" + b"a" * 16_000),
            chunked(b"0\r\nX: " + b"a" * 16_000),
        ],
    )
    def test_byte_by_byte(self, data: bytes) -> None:
        """Some microseconds for each read, not some for each byte that has come before."""
        began = time.thread_time()
        assert read(cut(data, range(len(data)))).status is None
        assert time.thread_time() - began < 5

    def test_memory(self) -> None:
        """What is held for a request that is not complete is bounded."""
        for data in (
            filled(MAX_HEAD)[:-2],
            chunked(b"5;" + b"a" * 16_000),
            chunked(b"0\r\nX: " + b"a" * 16_000),
            post(b"x" * (1 << 20))[:-1],
        ):
            tracemalloc.start()
            try:
                outcome = read(cut(data, range(0, len(data), 1000)), open_sink=lambda size: Nowhere())
                held = tracemalloc.get_traced_memory()[0]
            finally:
                tracemalloc.stop()
            assert outcome.status is None
            assert held < 3 * MAX_HEAD


class Nowhere:
    def write(self, data: bytes) -> None:
        pass

    def seek(self, offset: int) -> None:
        pass

    def close(self) -> None:
        pass
