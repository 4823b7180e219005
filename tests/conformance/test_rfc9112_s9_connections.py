"""RFC 9112 section 9: connections: their persistence, pipelining, timeouts, and end."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest
from rawhttp import chunked, request
from subject import Hold, Server


class TestPersistence:
    """Section 9.3."""

    def test_is_the_default(self, server: Server) -> None:
        """HTTP/1.1 without the close option: the connection SHOULD persist."""
        with server.connect() as wire:
            for number in range(50):
                wire.send(request(f"/{number}"))
                response = wire.final()
                assert response.environ["PATH_INFO"] == f"/{number}"
                assert "close" not in response.options()

    @pytest.mark.parametrize("value", ["keep-alive", "Keep-Alive", "x, y", "", ",", "TE"])
    def test_other_options_do_not_end_it(self, server: Server, value: str) -> None:
        server.serves(request("/", f"Connection: {value}"))

    @pytest.mark.parametrize(
        "lines",
        [["close"], ["Close"], ["CLOSE"], ["keep-alive, close"], ["close , x"], ["x", "close"], [",close,"], ["close", "keep-alive"]],
    )
    def test_client_closes(self, server: Server, lines: list[str]) -> None:
        """Section 9.6: MUST close after the final response to a request with close, and MUST NOT process any request after it."""
        before = server.reached()
        with server.connect() as wire:
            wire.send(request("/", *(f"Connection: {line}" for line in lines)) + request("/smuggled"))
            response = wire.final()
            assert response.status == 200
            assert "close" in response.options(), "SHOULD send close with it"
            wire.ends()
        assert server.reached() == before + 1

    @pytest.mark.parametrize(
        "target", ["/", "/length", "/single", "/stream", "/written", "/nothing", "/large", "/status?of=204+No", "/status?of=304+No"]
    )
    def test_each_kind_of_response_persists(self, server: Server, target: str) -> None:
        """Section 6.3: every response tells its own length, so the next one can follow."""
        with server.connect() as wire:
            wire.send((request(target) + request("/next")) * 3)
            for _ in range(3):
                assert "close" not in wire.final().options()
                assert wire.final().environ["PATH_INFO"] == "/next"

    @pytest.mark.parametrize(
        "target", ["/", "/length", "/single", "/stream", "/written", "/nothing", "/large", "/status?of=204+No", "/status?of=304+No"]
    )
    def test_each_kind_of_response_closes(self, server: Server, target: str) -> None:
        with server.connect() as wire:
            wire.send(request(target, "Connection: close"))
            assert "close" in wire.final().options()
            wire.ends()


class TestHttp10:
    """Section 9.3, and appendix C.2.2 (C.2.1 in RFC 7230)."""

    @pytest.mark.parametrize("lines", [[], ["Connection: close"], ["Connection: x"], ["Proxy-Connection: keep-alive"], ["Keep-Alive: 300"]])
    @pytest.mark.parametrize("host", ["a.example", None])
    def test_closes_by_default(self, server: Server, lines: list[str], host: str | None) -> None:
        """MUST close after the response, unless keep-alive is asked for."""
        before = server.reached()
        with server.connect() as wire:
            wire.send(request("/", *lines, version="HTTP/1.0", host=host) + request("/smuggled"))
            response = wire.final()
            assert response.environ["SERVER_PROTOCOL"] == "HTTP/1.0"
            assert "keep-alive" not in response.options()
            wire.ends()
        assert server.reached() == before + 1

    @pytest.mark.parametrize("line", ["Connection: keep-alive", "Connection: Keep-Alive", "connection: x, keep-alive"])
    @pytest.mark.parametrize("target", ["/", "/length", "/single", "/status?of=204+No", "/status?of=304+No"])
    def test_keep_alive(self, server: Server, line: str, target: str) -> None:
        """With keep-alive the connection persists if the server says so too."""
        with server.connect() as wire:
            for _ in range(3):
                wire.send(request(target, line, version="HTTP/1.0"))
                assert "keep-alive" in wire.final().options()
            wire.send(request("/next", version="HTTP/1.0"))
            assert wire.final().environ["PATH_INFO"] == "/next"
            wire.ends()

    @pytest.mark.parametrize("target", ["/stream", "/written", "/large"])
    @pytest.mark.parametrize("lines", [[], ["Connection: keep-alive"]])
    def test_body_of_unknown_length(self, server: Server, target: str, lines: list[str]) -> None:
        """Section 6.1: MUST NOT send Transfer-Encoding to HTTP/1.0; so the end of the connection ends the body."""
        with server.connect() as wire:
            wire.send(request(target, *lines, version="HTTP/1.0"))
            response = wire.final()
            assert response.until_close
            assert "keep-alive" not in response.options()
            assert response.body == server.exchange(request(target)).body

    def test_keep_alive_with_close(self, server: Server) -> None:
        """Section 9.3: close decides, whatever else is there."""
        with server.connect() as wire:
            wire.send(request("/", "Connection: keep-alive, close", version="HTTP/1.0"))
            assert "keep-alive" not in wire.final().options()
            wire.ends()

    def test_body(self, server: Server) -> None:
        """Section 6.3: Content-Length frames the body of a request of HTTP/1.0 too."""
        with server.connect() as wire:
            wire.send(
                request("/", "Connection: keep-alive", method="POST", version="HTTP/1.0", body=b"hello")
                + request("/next", version="HTTP/1.0")
            )
            assert wire.final().received == b"hello"
            assert wire.final().environ["PATH_INFO"] == "/next"
            wire.ends()


class TestPipelining:
    """Section 9.3.2."""

    def test_answers_in_order(self, server: Server) -> None:
        """MUST send the responses in the order in which the requests were received."""
        with server.connect() as wire:
            wire.send(b"".join(request(f"/{number}") for number in range(500)))
            assert [wire.final().environ["PATH_INFO"] for _ in range(500)] == [f"/{number}" for number in range(500)]

    def test_answers_in_order_while_the_first_takes_time(self, server: Server, hold: Hold) -> None:
        """Others may be ready before; none is sent before."""
        with server.connect() as wire:
            wire.send(request(hold.target) + b"".join(request(f"/{number}") for number in range(20)))
            hold.entered()
            assert server.exchange(request("/other")).status == 200
            assert wire.silent()
            hold.release()
            assert wire.final().body == b"held"
            assert [wire.final().environ["PATH_INFO"] for _ in range(20)] == [f"/{number}" for number in range(20)]

    def test_mixed(self, server: Server) -> None:
        """Every way to frame a request and a response, back to back."""
        body = b"x" * 70_000
        script = [
            (request("/a"), "GET", b""),
            (request("/b", method="POST", body=b"hello"), "POST", b"hello"),
            (request("/c", method="HEAD"), "HEAD", None),
            (request("/d", "Transfer-Encoding: chunked", method="POST", body=chunked(b"a", b"bc", trailers="X-T: v\r\n")), "POST", b"abc"),
            (request("/status?of=204+No"), "GET", None),
            (request("/stream"), "GET", None),
            (request("/e", method="PUT", body=body), "PUT", body),
            (request("/status?of=304+No"), "GET", None),
            (request("/large"), "GET", None),
            (request("*", method="OPTIONS"), "OPTIONS", b""),
            (request("/nothing"), "GET", None),
            (request("/f", "Connection: close"), "GET", b""),
        ]
        with server.connect() as wire:
            wire.send(b"".join(data for data, _, _ in script))
            for _, method, received in script:
                response = wire.final(method)
                if received is not None:
                    assert (response.environ["REQUEST_METHOD"], response.received) == (method, received)
            wire.ends()

    def test_client_that_reads_late(self, server: Server) -> None:
        """More answers than any buffer holds, read only when all requests are sent (or as many as the server takes)."""
        count = 3000
        with server.connect() as wire:
            sender = threading.Thread(target=wire.send, args=(request("/single", "X-Padding: " + "x" * 1000) * count,), daemon=True)
            sender.start()
            for _ in range(count):
                assert wire.final().body == b"hello world"
            sender.join()

    def test_nothing_is_served_after_an_error(self, server: Server) -> None:
        """The answers before it arrive, and then it; section 9.6 forbids the rest."""
        before = server.reached()
        with server.connect() as wire:
            wire.send(request("/a") + request("/b", method="POST", body=b"hello") + request("/c", "Bad Name: x") + request("/smuggled") * 5)
            assert [wire.final().status for _ in range(3)] == [200, 200, 400]
            wire.ends()
        assert server.reached() == before + 2

    def test_error_waits_for_the_answers_before_it(self, server: Server, hold: Hold) -> None:
        """MUST send the responses in order, the server's own among them."""
        with server.connect() as wire:
            wire.send(request(hold.target) + request("/", "Bad Name: x"))
            hold.entered()
            assert server.exchange(request("/other")).status == 200
            assert wire.silent()
            hold.release()
            assert [wire.final().status, wire.final().status] == [200, 400]
            wire.ends()


class TestConcurrency:
    """Section 9.4: a server is open to many connections of one client."""

    def test_many_connections(self, server: Server) -> None:
        """None waits for another that is idle, or in the middle of a request."""
        with ExitStack() as stack:
            wires = [stack.enter_context(server.connect()) for _ in range(100)]
            data = request("/", method="POST", body=b"hello")
            for at, wire in enumerate(wires):
                wire.send(data[: at % len(data)])
            assert server.exchange(request()).status == 200
            for at, wire in enumerate(wires):
                wire.send(data[at % len(data) :])
            assert all(wire.final().received == b"hello" for wire in wires)


class TestTimeouts:
    """Section 9.5, and RFC 9110 section 15.5.9: the server may close at any time, and SHOULD say so with 408 in the middle of a request."""

    @pytest.mark.parametrize(
        "part",
        [
            *(b"G", request()[:-2], request("/", method="POST", body=b"hello")[:-1]),
            request("/", "Transfer-Encoding: chunked", method="POST") + b"5\r\nhel",
            request("/", "Transfer-Encoding: chunked", method="POST") + b"5\r\nhello\r\n0\r\n",
            request("/", "Content-Length: 5", method="POST"),
        ],
        ids=["method", "head", "body", "chunk", "trailer", "no body"],
    )
    def test_in_the_middle_of_a_request(self, hurried: Server, part: bytes) -> None:
        with hurried.connect() as wire:
            wire.send(part)
            response = wire.final()
            assert response.status == 408
            assert "close" in response.options()
            wire.ends()

    def test_of_the_head_is_for_the_whole_head(self, hurried: Server) -> None:
        """A client that sends a byte now and then is not waited for for ever."""
        with hurried.connect() as wire:
            wire.send(b"GET / HTTP/1.1\r\nX-A: ")
            for _ in range(50):
                if not wire.silent(0.2):
                    break
                wire.send(b"a")
            assert wire.final().status == 408
            wire.ends()

    def test_of_the_body_is_for_the_next_byte(self, hurried: Server) -> None:
        """A slow upload that goes on is waited for."""
        with hurried.connect() as wire:
            wire.send(request("/", "Content-Length: 6", method="POST"))
            for _ in range(6):
                assert wire.silent(0.2)
                wire.send(b"x")
            assert wire.final().received == b"x" * 6

    def test_of_a_new_connection(self, hurried: Server) -> None:
        """Nothing was asked, so nothing is answered."""
        with hurried.connect() as wire:
            wire.ends()

    def test_of_an_idle_connection(self, hurried: Server) -> None:
        """Section 9.3: nothing was asked, so nothing is answered: a client might take a 408 for the answer to its next request."""
        with hurried.connect() as wire:
            wire.send(request())
            assert wire.final().status == 200
            wire.ends()

    def test_of_an_empty_line(self, hurried: Server) -> None:
        """A CRLF is no part of a request (section 2.2)."""
        with hurried.connect() as wire:
            wire.send(request(method="POST", body=b"hello") + b"\r\n")
            assert wire.final().status == 200
            wire.ends()

    def test_of_the_second_request(self, hurried: Server) -> None:
        with hurried.connect() as wire:
            wire.send(request() + request()[:-1])
            assert [wire.final().status, wire.final().status] == [200, 408]
            wire.ends()

    def test_does_not_strike_while_the_application_works(self, hurried: Server, hold: Hold) -> None:
        """No timeout of the client's runs while the client waits for us."""
        with hurried.connect() as wire:
            wire.send(request(hold.target))
            hold.entered()
            assert wire.silent(1.2)
            hold.release()
            assert wire.final().body == b"held"


class TestEnd:
    """Section 9.6."""

    def test_answer_reaches_a_client_that_still_sends(self, server: Server) -> None:
        """SHOULD close in stages, lest a reset takes the answer with it: what comes after an error is read and dropped."""
        with server.connect() as wire:
            wire.send(request("/", "Content-Length: 100000000", method="POST"))
            for _ in range(16):
                wire.send(b"x" * 65536)
            assert wire.final().status == 413
            wire.ends()

    def test_answer_reaches_a_client_that_pipelines_after_close(self, server: Server) -> None:
        with server.connect() as wire:
            wire.send(request("/large", "Connection: close") + request("/smuggled") * 2000)
            assert len(wire.final().body) == 1 << 20
            wire.ends()

    def test_half_closed_client_gets_its_answers(self, server: Server) -> None:
        """A client that ends its side of the connection still reads on the other."""
        server.must_hear_half_closed_clients()
        with server.connect() as wire:
            wire.send(request("/a") + request("/b", method="POST", body=b"hello") + request("/large") + request("/c"))
            wire.half_close()
            assert wire.final().environ["PATH_INFO"] == "/a"
            assert wire.final().received == b"hello"
            assert len(wire.final().body) == 1 << 20
            assert wire.final().environ["PATH_INFO"] == "/c"
            wire.ends()

    def test_client_half_closes_while_the_application_works(self, server: Server, hold: Hold) -> None:
        server.must_hear_half_closed_clients()
        with server.connect() as wire:
            wire.send(request(hold.target) + request("/next"))
            hold.entered()
            wire.half_close()
            hold.release()
            assert wire.final().body == b"held"
            assert wire.final().environ["PATH_INFO"] == "/next"
            wire.ends()

    def test_client_leaves_while_the_application_works(self, server: Server, hold: Hold) -> None:
        """The server outlives it."""
        with server.connect() as wire:
            wire.send(request(hold.target))
            hold.entered()
        hold.release()
        assert server.exchange(request()).status == 200
