"""RFC 9110 section 10.1.1: Expect, and the 100 (Continue) that answers it (15.2.1)."""

from __future__ import annotations

import pytest
from rawhttp import request
from subject import MAX_BODY, Hold, Server

EXPECT = "Expect: 100-continue"
FRAMINGS = {"length": ("Content-Length: 5", b"hello"), "chunked": ("Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n")}


@pytest.fixture(params=FRAMINGS)
def framing(request: pytest.FixtureRequest) -> tuple[str, bytes]:
    """A field line, and the body that it announces: hello."""
    return FRAMINGS[request.param]


class TestContinue:
    @pytest.mark.parametrize("expect", ["100-continue", "100-Continue", "100-CONTINUE", " 100-continue\t"])
    def test_comes_before_the_body(self, server: Server, framing: tuple[str, bytes], expect: str) -> None:
        """MUST send 100 (or a final status) to a client that expects it and waits. Its value is case-insensitive."""
        line, body = framing
        with server.connect() as wire:
            wire.send(request("/", f"Expect:{expect}", line, method="POST"))
            interim = wire.response()
            assert interim.status == 100
            wire.send(body + request("/next"))
            assert wire.final().received == b"hello"
            assert wire.final().environ["PATH_INFO"] == "/next"

    def test_comes_once(self, server: Server, framing: tuple[str, bytes]) -> None:
        """However many pieces the body comes in."""
        line, body = framing
        with server.connect_unix() as wire:
            wire.send(request("/", EXPECT, line, method="POST"))
            assert wire.response().status == 100
            wire.send_pieces(body[at : at + 1] for at in range(len(body)))
            assert wire.final().received == b"hello"

    def test_each_time(self, server: Server, framing: tuple[str, bytes]) -> None:
        """On a persistent connection each request is answered for itself."""
        line, body = framing
        with server.connect() as wire:
            for _ in range(3):
                wire.send(request("/", EXPECT, line, method="POST"))
                assert wire.response().status == 100
                wire.send(body)
                assert wire.final().received == b"hello"
                wire.send(request("/", line, method="POST") + body)
                assert wire.final().received == b"hello"

    def test_body_that_is_already_there(self, server: Server, framing: tuple[str, bytes]) -> None:
        """MAY omit the 100 when some of the body has come."""
        line, body = framing
        with server.connect() as wire:
            wire.send(request("/", EXPECT, line, method="POST") + body + request("/next"))
            response = wire.response()
            if response.interim:
                response = wire.final()
            assert response.received == b"hello"
            assert wire.final().environ["PATH_INFO"] == "/next"

    @pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
    @pytest.mark.parametrize("lines", [[], ["Content-Length: 0"]])
    def test_without_a_body(self, server: Server, method: str, lines: list[str]) -> None:
        """MAY omit the 100 when there is no content; we do, as nothing is wanted."""
        server.serves(request("/", EXPECT, *lines, method=method), method)

    def test_in_http_1_0(self, server: Server) -> None:
        """MUST ignore the expectation in a request of HTTP/1.0, to which no 1xx may be sent (section 15.2)."""
        with server.connect_unix() as wire:
            wire.send_pieces([request("/", EXPECT, "Content-Length: 5", method="POST", version="HTTP/1.0"), b"he", b"llo"])
            assert wire.final().received == b"hello"

    def test_in_order_with_pipelined_answers(self, server: Server, framing: tuple[str, bytes], hold: Hold) -> None:
        """The 100 comes after the answers to the requests before it, as any other response (RFC 9112 section 9.3.2)."""
        line, body = framing
        with server.connect() as wire:
            wire.send(request(hold.target) + request("/b") + request("/c", EXPECT, line, method="POST"))
            hold.entered()
            assert server.exchange(request("/other")).status == 200
            assert wire.silent()
            hold.release()
            assert wire.final().body == b"held"
            assert wire.final().environ["PATH_INFO"] == "/b"
            assert wire.response().status == 100
            wire.send(body)
            assert wire.final().received == b"hello"

    def test_client_that_does_not_wait(self, server: Server, framing: tuple[str, bytes]) -> None:
        """A client MUST NOT wait for ever; its body may cross our 100."""
        line, body = framing
        with server.connect_unix() as wire:
            wire.send_pieces([request("/", EXPECT, line, method="POST"), body])
            response = wire.response()
            assert (wire.final() if response.interim else response).received == b"hello"


class TestNotWanted:
    """A final status instead of the 100, if the answer is known without the body."""

    @pytest.mark.parametrize("length", [MAX_BODY + 1, 1 << 40])
    def test_body_over_the_limit(self, server: Server, length: int) -> None:
        """413, and the body need not come."""
        with server.connect() as wire:
            wire.send(request("/", EXPECT, f"Content-Length: {length}", method="POST"))
            assert wire.final().status == 413
            wire.ends()

    @pytest.mark.parametrize(
        "value",
        ["x", "200-ok", "100-continue-not", "100-continue, x", "x, 100-continue", "100", "continue", "100-continue=1", "100 -continue"],
    )
    @pytest.mark.parametrize("line", ["Content-Length: 5", "Content-Length: 0"])
    def test_unknown_expectation(self, server: Server, value: str, line: str) -> None:
        """MAY answer 417 to an expectation that it cannot meet, and we do."""
        with server.connect() as wire:
            wire.send(request("/", f"Expect: {value}", line, method="POST"))
            assert wire.final().status == 417
            wire.ends()

    def test_repeated_line_with_an_unknown_expectation(self, server: Server) -> None:
        server.refuses(request("/", EXPECT, "Expect: x", "Content-Length: 5", method="POST"), 417)

    @pytest.mark.parametrize(
        "lines", [["Content-Length: x"], ["Content-Length: 5", "Transfer-Encoding: chunked"], ["Transfer-Encoding: gzip"], ["Bad Name: a"]]
    )
    def test_bad_request(self, server: Server, lines: list[str]) -> None:
        """No 100 to what is refused anyway."""
        with server.connect() as wire:
            wire.send(request("/", EXPECT, *lines, method="POST"))
            assert wire.final().status == 400
            wire.ends()
