"""RFC 9110 section 15: status codes with rules of their own. Errors of syntax are in RFC 9112, with 408 (section 9) and 431 (section 5)."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest
from rawhttp import PATIENCE, Wire, chunked, request
from subject import MAX_BODY, Hold, Server


class TestWithoutContent:
    """Sections 15.3.5, 15.3.6 and 15.4.5."""

    @pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
    @pytest.mark.parametrize("length", ["", "&length=26", "&length=0"])
    @pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
    def test_no_content_is_sent(self, server: Server, status: str, length: str, method: str) -> None:
        """MUST NOT have content, whatever the application sends; nor Transfer-Encoding; and 204 no Content-Length (section 8.6)."""
        with server.connect() as wire:
            wire.send(request(f"/status?of={status.replace(' ', '+')}{length}", method=method) + request("/next"))
            response = wire.final(method)
            assert (response.status, response.field("ETag")) == (int(status[:3]), '"x"')
            allowed = [None] if status.startswith("204") else [None, length.removeprefix("&length=")]
            assert response.field("Content-Length") in allowed
            assert wire.final().environ["PATH_INFO"] == "/next"

    @pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
    @pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
    def test_then_close(self, server: Server, status: str, version: str) -> None:
        with server.connect() as wire:
            wire.send(request(f"/status?of={status.replace(' ', '+')}", "Connection: close", version=version))
            assert wire.final().status == int(status[:3])
            wire.ends()

    @pytest.mark.parametrize("length", ["", "&length=26", "&length=0"])
    def test_reset_content(self, server: Server, length: str) -> None:
        """Section 15.3.6: MUST NOT generate content in a 205; it says so with Content-Length: 0 or an empty chunked body."""
        response = server.exchange(request(f"/status?of=205+Reset{length}", method="POST"))
        assert (response.status, response.body, response.until_close) == (205, b"", False)
        server.serves(request("/length"))


class TestContentTooLarge:
    """Section 15.5.14: 413. By counting chunks: RFC 9112 section 7."""

    @pytest.mark.parametrize("length", [MAX_BODY + 1, 1 << 31, 1 << 32, (1 << 63) - 1])
    def test_at_once(self, server: Server, length: int) -> None:
        """Before any of it comes; MAY close to keep it from coming."""
        with server.connect() as wire:
            wire.send(request("/", f"Content-Length: {length}", method="POST"))
            response = wire.final()
            assert response.status == 413
            assert "close" in response.options()
            wire.ends()

    def test_nothing_after_it_is_served(self, server: Server) -> None:
        server.refuses(request("/", f"Content-Length: {MAX_BODY + 1}", method="POST") + request("/smuggled") * 10, 413)

    @pytest.mark.parametrize("coding", ["length", "chunked"])
    def test_limit_is_inclusive(self, server: Server, coding: str) -> None:
        body = b"x" * MAX_BODY
        line = [] if coding == "length" else ["Transfer-Encoding: chunked"]
        data = body if coding == "length" else chunked(body)
        assert server.serves(request("/size", *line, method="POST", body=data)).body == b"%d" % MAX_BODY


class TestServiceUnavailable:
    """Section 15.6.4: 503 with Retry-After, when too many requests wait."""

    def test_backlog_is_full(self, hurried: Server, hold: Hold) -> None:
        """One request is in the application, 4 may wait; those beyond are told at once, and those that wait are served later."""
        with ExitStack() as stack:
            first = stack.enter_context(hurried.connect())
            first.send(request(hold.target))
            hold.entered()
            wires = [stack.enter_context(hurried.connect()) for _ in range(12)]
            for wire in wires:
                wire.send(request("/waiting"))
            refused: list[Wire] = []
            deadline = time.monotonic() + PATIENCE
            while len(refused) < len(wires) - 4 and time.monotonic() < deadline:
                refused = [wire for wire in wires if not wire.silent()]
            assert len(refused) == len(wires) - 4
            for wire in refused:
                response = wire.final()
                assert response.status == 503
                assert (response.field("Retry-After") or "").isdigit()
                assert "close" in response.options()
                wire.ends()
            hold.release()
            assert first.final().body == b"held"
            for wire in wires:
                if wire not in refused:
                    assert wire.final().environ["PATH_INFO"] == "/waiting"
        assert hurried.exchange(request()).status == 200


class TestServerError:
    """Section 15.6.1: 500."""

    def test_application_fails(self, server: Server) -> None:
        """A whole answer, which tells nothing of the fault."""
        response = server.exchange(request("/fail"))
        assert response.status == 500
        assert b"on purpose" not in response.body
        assert b"Traceback" not in response.body

    def test_next_request_is_served(self, server: Server) -> None:
        for _ in range(10):
            server.exchange(request("/fail"))
        assert server.exchange(request()).status == 200
