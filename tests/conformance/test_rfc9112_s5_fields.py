"""RFC 9112 section 5: field syntax; with RFC 9110 section 5, and RFC 6585 section 5 for a head that is too large."""

from __future__ import annotations

import string

import pytest
from rawhttp import request
from subject import MAX_HEAD, Server

TOKEN = "!#$%&'*+-.^_`|~" + string.digits + string.ascii_letters
CONTROLS = [code for code in (*range(0x20), 0x7F) if chr(code) not in "\t\r\n"]


class TestName:
    """Section 5.1."""

    @pytest.mark.parametrize("space", [" ", "\t", "  ", "\t "])
    @pytest.mark.parametrize(
        "field", ["X-A{}: b", "Host{}: a.example", "Content-Length{}: 5", "Transfer-Encoding{}: chunked", "Connection{}: close"]
    )
    def test_white_space_before_the_colon(self, server: Server, field: str, space: str) -> None:
        """MUST reject with 400 any request with white space between a field name and the colon."""
        server.refuses(request("/", field.format(space)), 400)

    @pytest.mark.parametrize("line", [": b", ":", " : b", "::", ":X-A: b"])
    def test_empty(self, server: Server, line: str) -> None:
        """A name is a token, so it has a character at least: 400."""
        server.refuses(request("/", "X-First: a", line), 400)

    @pytest.mark.parametrize("line", ["X-A", "X-A b", "a", "GET / HTTP/1.1", "\x00"])
    def test_without_colon(self, server: Server, line: str) -> None:
        """SHOULD respond with 400."""
        server.refuses(request("/", line), 400)

    @pytest.mark.parametrize("code", [code for code in range(256) if chr(code) not in TOKEN + ":\r\n"])
    def test_of_other_than_token_characters(self, server: Server, code: int) -> None:
        """A name is a token: 400 for any other octet in it (RFC 9110 section 5.1)."""
        server.refuses(request("/", f"X-A{chr(code)}B: c"), 400)

    def test_of_all_token_characters(self, server: Server) -> None:
        """MUST take any token for a name, known or not; what has no name in the environ is left out (RFC 9110 section 5.1)."""
        with server.connect() as wire:
            for character in TOKEN:
                wire.send(request("/", f"X{character}: a", f"{character}: a"))
                assert wire.final().status == 200, character

    @pytest.mark.parametrize("line", ["x-name: v", "X-NAME: v", "X-nAmE: v"])
    def test_is_case_insensitive(self, server: Server, line: str) -> None:
        """RFC 9110 section 5.1: field names are case-insensitive."""
        assert server.serves(request("/", line)).environ["HTTP_X_NAME"] == "v"

    def test_framing_fields_are_case_insensitive(self, server: Server) -> None:
        data = b"POST / HTTP/1.1\r\nhOST: a.example\r\nCONTENT-length: 5\r\n\r\nhello"
        assert server.serves(data).received == b"hello"
        data = b"POST / HTTP/1.1\r\nHOST: a.example\r\nTRANSFER-encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        assert server.serves(data).received == b"hello"


class TestValue:
    """Section 5.1, and RFC 9110 section 5.5."""

    @pytest.mark.parametrize(
        ("raw", "value"),
        [
            ("", ""),
            (" ", ""),
            (" \t ", ""),
            ("v", "v"),
            (" \t v \t ", "v"),
            (" a b\tc ", "a b\tc"),
            (" a:b", "a:b"),
            (' "a, b"', '"a, b"'),
            (" caf\u00e9", "caf\u00e9"),
            (" \u0085v\u00a0", "\u0085v\u00a0"),
            (" " + "".join(map(chr, range(0x80, 0x100))), "".join(map(chr, range(0x80, 0x100)))),
            (" " + "".join(map(chr, range(0x21, 0x7F))), "".join(map(chr, range(0x21, 0x7F)))),
        ],
    )
    def test_optional_white_space_is_not_part_of_it(self, server: Server, raw: str, value: str) -> None:
        """MUST exclude leading and trailing white space, which is SP and HTAB; obs-text is opaque data."""
        assert server.serves(request("/", f"X-Name:{raw}")).environ["HTTP_X_NAME"] == value

    @pytest.mark.parametrize("code", CONTROLS)
    @pytest.mark.parametrize("value", ["a{}b", "{}a", "a{}", " {} "])
    def test_control_characters_are_refused(self, server: Server, value: str, code: int) -> None:
        """MUST reject (or replace) NUL, CR and LF in a value; we reject all control characters."""
        server.refuses(request("/", "X-Name:" + value.format(chr(code))), 400)

    @pytest.mark.parametrize("lines", [("X-Name: a", "X-Name: b", "x-name: c"), ("X-Name: a", "X-Other: 1", "X-Name: b", "X-Name: c")])
    def test_repeated_lines_are_combined_in_order(self, server: Server, lines: tuple[str, ...]) -> None:
        """RFC 9110 section 5.3: MUST NOT change the order; joined with a comma."""
        value = server.serves(request("/", *lines)).environ["HTTP_X_NAME"]
        assert [each.strip() for each in value.split(",")] == ["a", "b", "c"]

    def test_repeated_cookies_are_combined_with_a_semicolon(self, server: Server) -> None:
        """RFC 9113 section 8.2.3, RFC 6265 section 5.4: a comma would be part of a cookie."""
        assert server.serves(request("/", "Cookie: a=b", "Cookie: c=d")).environ["HTTP_COOKIE"] == "a=b; c=d"


class TestObsoleteFolding:
    """Section 5.2: MUST reject with 400 (or replace with spaces; we do not)."""

    @pytest.mark.parametrize(
        "lines",
        [
            *("X-A: b\r\n c", "X-A: b\r\n\tc", "X-A: b\r\n   c", "X-A:\r\n b", "X-A: b\r\n ", "X-A: b\r\n \r\n c"),
            *("X-A: b\r\n X-C: d", "Content-Length: 5\r\n 5", "Content-Length:\r\n 5", "Transfer-Encoding:\r\n chunked"),
            *("Transfer-Encoding: chunked\r\n , identity", "Transfer-Encoding: x\r\n\tchunked"),
            "Connection: close\r\n\t, keep-alive",
        ],
    )
    def test_is_refused(self, server: Server, lines: str) -> None:
        server.refuses(request("/", lines), 400)

    @pytest.mark.parametrize("fold", [" b", "\tb", " ", " .evil.example"])
    def test_of_host_is_refused(self, server: Server, fold: str) -> None:
        server.refuses(request("/", host=f"a.example\r\n{fold}"), 400)


class TestSize:
    """RFC 6585 section 5, RFC 9110 section 5.4: MUST answer with a 4xx to a head that is larger than it wishes to process."""

    @pytest.mark.parametrize(
        "lines",
        [
            [f"X-A: {'a' * MAX_HEAD}"],
            [f"{'X' * MAX_HEAD}: a"],
            [f"X-{number}: {'a' * 90}" for number in range(MAX_HEAD // 90)],
            ["A:"] * (MAX_HEAD // 4 + 1),
            [f"X-A:{' ' * MAX_HEAD}b"],
            [f"X-A: {'a' * 200_000}"],
            [f"Cookie: {'a=b; ' * MAX_HEAD}"],
        ],
        ids=["value", "name", "many lines", "many short lines", "white space", "much too long", "cookie"],
    )
    def test_too_large(self, server: Server, lines: list[str]) -> None:
        server.refuses(request("/", *lines), 431)

    def test_endless(self, server: Server) -> None:
        """431 comes before the end of the head, which may never come."""
        with server.connect() as wire:
            wire.send(b"GET / HTTP/1.1\r\nHost: a.example\r\nX-A: " + b"a" * (MAX_HEAD + 1))
            assert wire.final().status == 431
            wire.ends()

    def test_endless_line_by_line(self, server: Server) -> None:
        with server.connect() as wire:
            wire.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n" + b"X-A: b\r\n" * (MAX_HEAD // 8 + 1))
            assert wire.final().status == 431
            wire.ends()

    @pytest.mark.parametrize("room", [0, 1, 64])
    def test_just_fits(self, server: Server, room: int) -> None:
        """The limit is the size of the head with its last CRLF."""
        bare = len(request("/", "X-A: "))
        assert len(server.serves(request("/", f"X-A: {'a' * (MAX_HEAD - bare - room)}")).environ["HTTP_X_A"]) == MAX_HEAD - bare - room

    def test_is_counted_for_each_request(self, server: Server) -> None:
        """Many requests on one connection, which are together larger than the limit."""
        with server.connect() as wire:
            for _ in range(5):
                wire.send(request("/", f"X-A: {'a' * (MAX_HEAD // 2)}"))
                assert wire.final().status == 200

    def test_is_counted_for_each_pipelined_request(self, server: Server) -> None:
        with server.connect() as wire:
            wire.send(request("/", f"X-A: {'a' * (MAX_HEAD // 2)}") * 5)
            assert [wire.final().status for _ in range(5)] == [200] * 5
