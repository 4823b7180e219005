"""Heads that were read before mean what they meant, and put nobody out. tests/wire/mutants.py asks that of any stream."""

from __future__ import annotations

from typing import Any

import pytest
from reading import BASE, BEFORE, Outcome, chunked, head, new_parser, post, read

import hendrix.wire.http1
from hendrix.wire import known
from hendrix.wire.known import KnownHeads

PLAIN = head("X-Name: value ", "Cookie: a=b", target="/a?b=c")
PROXIED = head("X-Forwarded-For: 1.2.3.4", "Forwarded: for=a", target="/b")


@pytest.fixture
def heads() -> KnownHeads:
    return KnownHeads()


def taught(heads: KnownHeads, *streams: bytes, **changes: Any) -> KnownHeads:
    """What a connection teaches."""
    read([BEFORE, *streams], known=heads, **changes)
    return heads


def without_llhttp(heads: KnownHeads, stream: bytes, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> Outcome:
    """Read what must be known."""

    class Blind:
        def __init__(self, protocol: object) -> None: ...

        def feed_data(self, data: bytes) -> None:
            raise AssertionError(f"{data!r} was read again")

    with monkeypatch.context() as patch:
        patch.setattr(hendrix.wire.http1.httptools, "HttpRequestParser", Blind)
        return read([stream], known=heads, **changes)


@pytest.mark.parametrize("stream", [PLAIN, PROXIED, PLAIN + PROXIED + PLAIN], ids=["plain", "proxied", "several"])
def test_what_is_known_is_not_read_again(heads: KnownHeads, stream: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    taught(heads, stream)
    assert without_llhttp(heads, stream, monkeypatch).result == read([stream]).result


def test_lines_and_fields_are_known_apart(heads: KnownHeads, monkeypatch: pytest.MonkeyPatch) -> None:
    taught(heads, head("X: 1", target="/1"), head("X: 2", target="/2"))
    mixed = head("X: 1", target="/2")
    assert without_llhttp(heads, mixed, monkeypatch).result == read([mixed]).result


def test_who_comes_once_teaches_nothing(heads: KnownHeads) -> None:
    read([PLAIN], known=heads)
    assert not heads.lines and not heads.sections


@pytest.mark.parametrize(
    "stream",
    [
        head("Connection: close"),
        head("Connection: Upgrade", "Upgrade: websocket"),
        head("Connection: keep-alive", version="HTTP/1.0"),
        head(target="http://b.example/a"),
        head("Connection: keep-alive", method="OPTIONS", target="*"),
        head("Expect: 100-continue"),
        head("Content-Length: 0"),
        post(b"content"),
        chunked(b"1\r\nx\r\n0\r\n\r\n"),
        head("Host: two"),
    ],
    ids=lambda stream: stream[:60].decode(),
)
def test_what_says_more_than_fields_is_read_each_time(heads: KnownHeads, stream: bytes) -> None:
    taught(heads, stream)
    assert not heads.lines and not heads.sections


def test_what_an_application_does_to_its_environ_teaches_nothing(heads: KnownHeads) -> None:
    taught(heads, PLAIN)
    for _ in range(2):
        parser = new_parser(known=heads)
        parser.feed(PLAIN)
        fields = parser.requests.popleft().fields
        assert fields == {**BASE, **read([PLAIN]).one.fields}
        fields.clear()
        fields["HTTP_X"] = "of the application"
    assert "HTTP_X" not in BASE


def test_limits_hold_for_what_is_known(heads: KnownHeads) -> None:
    taught(heads, PLAIN)
    assert read([PLAIN], known=heads, max_head=len(PLAIN)).status is None
    assert read([PLAIN], known=heads, max_head=len(PLAIN) - 1).status == 431


def test_a_connection_that_must_end_ends(heads: KnownHeads) -> None:
    taught(heads, PLAIN)
    outcome = read([PLAIN, PLAIN], known=heads, persistent=False)
    assert not outcome.one.keep_alive
    assert outcome.parser.finished


def test_half_an_empty_line_before_it_is_refused_all_the_same(heads: KnownHeads) -> None:
    taught(heads, PLAIN)
    assert read([b"\r", PLAIN], known=heads).status == 400
    assert read([b"\n" + PLAIN], known=heads).status == 400


def test_memory_is_bounded(heads: KnownHeads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "LINES", 5)
    monkeypatch.setattr(known, "SECTIONS", 3)
    for number in range(20):
        stream = head(f"X: {number}", target=f"/{number}")
        taught(heads, stream)
        assert len(heads.lines) <= 5 and len(heads.sections) <= 3
        assert any(str(number).encode() in line for line in heads.lines), "the latest is known"
    taught(heads, head("X: " + "x" * known.LARGEST_SECTION, target="/large"), head(target="/" + "x" * known.LONGEST_LINE))
    assert not any(b"large" in line or b"xxx" in line for line in heads.lines)
