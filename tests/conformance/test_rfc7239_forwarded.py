"""RFC 7239 and ``X-Forwarded-*``: what a trusted proxy says of the client. The rules are tested one by one with hendrix.wire.forwarded."""

from __future__ import annotations

import pytest
from rawhttp import request
from subject import Server


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], ("127.0.0.1", "http", "a.example")),
        (["X-Forwarded-For: 203.0.113.1"], ("203.0.113.1", "http", "a.example")),
        (["X-Forwarded-For: 6.6.6.6, 203.0.113.1, 10.0.0.1"], ("203.0.113.1", "http", "a.example")),
        (["X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 203.0.113.1"], ("203.0.113.1", "http", "a.example")),
        (["X-Forwarded-Proto: https", "X-Forwarded-Host: b.example:444"], ("127.0.0.1", "https", "b.example:444")),
        (['Forwarded: for="[2001:db8::1]:4711";proto=https;host=b.example'], ("2001:db8::1", "https", "b.example")),
        (["Forwarded: for=203.0.113.1", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https"], ("203.0.113.1", "http", "a.example")),
    ],
)
def test_is_believed(behind_proxy: Server, lines: list[str], expected: tuple[str, str, str]) -> None:
    environ = behind_proxy.serves(request("/", *lines)).environ
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"], environ["HTTP_HOST"]) == expected


def test_port(behind_proxy: Server) -> None:
    environ = behind_proxy.serves(request("/", "X-Forwarded-Port: 444", "X-Forwarded-Proto: https")).environ
    assert environ["SERVER_PORT"] == "444"


def test_each_request_for_itself(behind_proxy: Server) -> None:
    """A proxy sends the requests of many clients on one connection."""
    with behind_proxy.connect() as wire:
        for client in ("203.0.113.1", "203.0.113.2", None, "203.0.113.3"):
            wire.send(request("/", *([f"X-Forwarded-For: {client}"] if client else [])))
            assert wire.final().environ["REMOTE_ADDR"] == (client or "127.0.0.1")


@pytest.mark.parametrize(
    "line",
    [
        "X-Forwarded-For: <script>",
        "X-Forwarded-Proto: gopher",
        "X-Forwarded-Host: a b",
        "X-Forwarded-Port: x",
        'Forwarded: for="a',
        "Forwarded: for=nobody",
    ],
)
def test_malformed(behind_proxy: Server, line: str) -> None:
    """Section 8.1: what cannot be right is refused, not handed on."""
    behind_proxy.refuses(request("/", line), 400)


def test_spoofed_with_underscore(behind_proxy: Server) -> None:
    """The proxy lets names pass that it does not know."""
    environ = behind_proxy.serves(
        request("/", "X_Forwarded_For: 6.6.6.6", "X-Forwarded-For: 203.0.113.1", "X_Forwarded_Proto: https")
    ).environ
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == ("203.0.113.1", "http")


def test_peers_on_the_unix_socket_are_not_trusted(behind_proxy: Server) -> None:
    """But by --trusted-proxy=unix."""
    with behind_proxy.connect_unix() as wire:
        wire.send(request("/", "X-Forwarded-For: 203.0.113.1", "X-Forwarded-Proto: https"))
        environ = wire.final().environ
        assert (environ["REMOTE_ADDR"] in ("", "192.0.2.1"), environ["wsgi.url_scheme"]) == (True, "http")
