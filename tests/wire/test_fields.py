"""`hendrix.wire.fields`: names as an application sees them, and the Host field."""

from __future__ import annotations

import pytest

from hendrix.wire import fields
from hendrix.wire.fields import cgi_name, is_host


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (b"Accept", "HTTP_ACCEPT"),
        (b"accept", "HTTP_ACCEPT"),
        (b"X-A-B", "HTTP_X_A_B"),
        (b"-", "HTTP__"),
        (b"x!#$%&'*+.^`|~9", "HTTP_X!#$%&'*+.^`|~9"),
        (b"Content-Type", "CONTENT_TYPE"),
        (b"CONTENT-LENGTH", "CONTENT_LENGTH"),
        (b"Content-Types", "HTTP_CONTENT_TYPES"),
        (b"Proxy", ""),
        (b"PROXY", ""),
        (b"Proxy-Authorization", "HTTP_PROXY_AUTHORIZATION"),
        (b"X_A", ""),
        (b"_", ""),
        (b"Content_Length", ""),
        (b"X-Forwarded_For", ""),
        (b"Host", "HTTP_HOST"),
    ],
)
def test_name(name: bytes, key: str) -> None:
    assert cgi_name(name) == key


GOOD = [
    *("a", "a.example", "A.Example", "a.example.", "a-b.c_d", "1.2.3.4", "localhost", "x" * 300, "~", "!$&'()*+;=", "%41", "a%2fb", "-"),
    *("[::1]", "[2001:db8::1]", "[::ffff:1.2.3.4]", "a:", "a:0", "a:80", "a:65535", "[::1]:", "[::1]:443", "1.2.3.4:8000"),
]
BAD = [
    *("", ":", ":80", "a:65536", "a:99999", "a:100000", "a:-1", "a:+1", "a: 80", "a:8x", "a:80:80", "a b", " a", "a ", "a\t", "a\n"),
    *("a,b", "a/b", "a\\b", "a?b", "a#b", "a@b", "@", "user:pw@a", "a<b", 'a"', "a^", "a|", "a{", "a`", "%", "%4", "%zz", "a%"),
    *("[", "]", "[]", "[::1", "::1", "[::1]x", "x[::1]", "[:::1]", "[1]", "[g::]", "[1.2.3.4]", "[::1%25eth0]", "[v1.x]"),
    *("\xe9", "a\x00", "a\x7f", "\u0661", "a:\u0661", "http://a"),
]


@pytest.mark.parametrize("host", GOOD)
def test_good_host(host: str) -> None:
    for _ in range(2):
        assert is_host(host)


@pytest.mark.parametrize("host", BAD)
def test_bad_host(host: str) -> None:
    for _ in range(2):
        assert not is_host(host)
    assert host not in fields.known_hosts


def test_known_hosts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client may send a new one each time, and long ones."""
    known: set[str] = set()
    monkeypatch.setattr(fields, "known_hosts", known)
    for number in range(fields.TABLE_SIZE + 100):
        assert is_host(f"host-{number}")
        assert is_host(f"{number}." + "x" * 1000)
    assert len(known) == fields.TABLE_SIZE
    assert max(map(len, known)) < 300
    assert is_host("another.example"), "what is not remembered is still checked"
    assert not is_host("a b")
