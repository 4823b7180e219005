"""RFC 9112 section 2: messages, how they are parsed, and their version."""

from __future__ import annotations

import pytest
from rawhttp import chunked, request
from subject import MAX_BODY, Server

SAMPLES = {
    "GET": (request("/a?b=c", "X-Name: value"), b""),
    "Content-Length": (request("/a?b=c", method="POST", body=b"0\r\n\r\nhello"), b"0\r\n\r\nhello"),
    "chunked": (
        request("/a?b=c", "Transfer-Encoding: chunked", method="PUT", body=chunked(b"hello", b"\r\n", b"x" * 17, trailers="X-T: v\r\n")),
        b"hello\r\n" + b"x" * 17,
    ),
    "chunk extensions": (
        request("/a?b=c", "Transfer-Encoding: chunked", method="PUT", body=b'0005;a;b=c;d="e\\"f"\r\nhello\r\n00;x\r\n\r\n'),
        b"hello",
    ),
    "absolute-form": (request("http://b.example:81/a?b=c", method="DELETE"), b""),
}


@pytest.fixture(params=SAMPLES)
def sample(request: pytest.FixtureRequest) -> tuple[bytes, bytes]:
    """A whole request to /a?b=c, and its body."""
    return SAMPLES[request.param]


class TestParsing:
    """Section 2.2."""

    def test_split_at_every_position(self, server: Server, sample: tuple[bytes, bytes]) -> None:
        """MUST parse a sequence of octets, however it arrives: in any two pieces."""
        data, body = sample
        with server.connect_unix() as wire:
            for at in range(1, len(data)):
                wire.send_pieces([data[:at], data[at:]])
                answer = wire.final()
                assert (answer.environ["PATH_INFO"], answer.environ["QUERY_STRING"], answer.received) == ("/a", "b=c", body), at

    def test_byte_by_byte(self, server: Server, sample: tuple[bytes, bytes]) -> None:
        """MUST parse a sequence of octets, however it arrives: in pieces of one."""
        data, body = sample
        with server.connect_unix() as wire:
            wire.send_pieces(data[at : at + 1] for at in range(len(data)))
            assert wire.final().received == body

    def test_split_across_two_requests(self, server: Server, sample: tuple[bytes, bytes]) -> None:
        """MUST parse a sequence of octets, however it arrives: the end of one request with the start of the next."""
        data, body = sample
        with server.connect_unix() as wire:
            for at in range(1, len(data), 7):
                wire.send_pieces([data[:at], data[at:] + data[:at], data[at:]])
                assert [wire.final().received, wire.final().received] == [body, body]

    def test_empty_line_before_the_request_line(self, server: Server) -> None:
        """SHOULD ignore at least one empty line (CRLF) received before the request line."""
        server.serves(b"\r\n" + request())

    def test_empty_line_after_a_body(self, server: Server) -> None:
        """SHOULD ignore the CRLF that old clients send after a POST."""
        assert server.serves(request(method="POST", body=b"hello") + b"\r\n").received == b"hello"

    @pytest.mark.parametrize(
        "before", [[b"\r", b"\n" + request()], [b"\r\n", request()], [request() + b"\r", b"\n"], [request(), b"\r", b"\n", request()]]
    )
    def test_empty_line_in_pieces(self, server: Server, before: list[bytes]) -> None:
        """SHOULD ignore it however it arrives."""
        with server.connect_unix() as wire:
            wire.send_pieces([*before, request("/next")])
            answers = [wire.final() for _ in range(b"".join(before).count(b"GET"))]
            assert [answer.status for answer in answers] == [200] * len(answers)
            assert wire.final().environ["PATH_INFO"] == "/next"

    @pytest.mark.parametrize(
        "data",
        [
            b"GET / HTTP/1.1\nHost: a.example\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a.example\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a.example\r\n\n",
            b"GET / HTTP/1.1\nHost: a.example\n\n",
            b"GET / HTTP/1.1\r\nHost: a.example\r\nX-A: b\nX-C: d\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a.example\r\nX-A: b\n\nGET /smuggled HTTP/1.1\r\n\r\n",
            b"\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        ],
    )
    def test_bare_lf_is_refused(self, server: Server, data: bytes) -> None:
        """MAY recognize a single LF as a line terminator; we refuse what others may read differently."""
        server.refuses(data, 400)

    @pytest.mark.parametrize(
        "data",
        [
            b"GET / HTTP/1.1\rHost: a.example\r\n\r\n",
            b"GET /\r HTTP/1.1\r\nHost: a.example\r\n\r\n",
            b"GET / HTTP/1.1\r\r\nHost: a.example\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a.example\r\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a.example\r\nX-A: b\rX-C: d\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a.example\r\nX-A\r: b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a.example\r\nX-A:\rb\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\r\n",
            b"GET / HTTP/1.1\r\nHost: a.example\r\n\rX",
            b"\rGET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        ],
    )
    def test_bare_cr_is_refused(self, server: Server, data: bytes) -> None:
        """MUST consider an element with a bare CR to be invalid (or replace it with SP; we do not)."""
        server.refuses(data, 400)

    @pytest.mark.parametrize("space", [b" ", b"\t", b"  ", b" \t"])
    @pytest.mark.parametrize("line", [b"X-A: b\r\n", b"\r\n", b""])
    def test_space_between_request_line_and_first_field_is_refused(self, server: Server, space: bytes, line: bytes) -> None:
        """MUST reject the message as invalid or consume the line without processing it; we refuse."""
        server.refuses(b"GET / HTTP/1.1\r\n" + space + line + b"Host: a.example\r\n\r\n", 400)

    @pytest.mark.parametrize(
        "data",
        [
            *(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x00\x00\x00\x00", b"\xef\xbb\xbf" + request()),
            *(request().replace(b"GET", b"G\x00ET"), "GET / HTTP/1.1\r\n".encode("utf-16"), b"SSH-2.0-OpenSSH_9.2\r\n"),
            *(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"{}"),
        ],
        ids=["tls", "nul", "utf-8 BOM", "nul in method", "utf-16", "ssh", "response", "json"],
    )
    def test_what_is_not_http_is_refused(self, server: Server, data: bytes) -> None:
        """SHOULD respond with 400 to octets that do not match the grammar of a message (or 501: some begin like a method)."""
        server.refuses(data, 400, 501)

    @pytest.mark.parametrize(
        ("data", "status"),
        [
            (request(method="FOO"), 501),
            (request("a.example:80", method="CONNECT"), 501),
            (request(method="get"), 400),
            (request(version="HTTP/2.0"), 505),
            (request(version="HTTP/1.2"), 505),
            (request(version="HTTP/1.x"), 400),
            (request("/a#b"), 400),
            (request(host=None), 400),
            (request("/", "Expect: x", "Content-Length: 5", method="POST"), 417),
            (request("/", "Transfer-Encoding: gzip, chunked", method="POST"), 501),
            (request("/", "Transfer-Encoding: chunked, gzip", method="POST"), 400),
            (request("/", "Content-Length: 5", "Transfer-Encoding: chunked", method="POST"), 400),
            (request("/", f"Content-Length: {MAX_BODY + 1}", method="POST"), 413),
            (request("/", "Transfer-Encoding: chunked", method="POST") + b"5\r\nhelloX", 400),
            (request("/", "Transfer-Encoding: chunked", method="POST") + b"0\r\nHost: x\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: a.example\r\nX-A : b\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: a.example\r\nX-A: b\n\r\n", 400),
        ],
    )
    def test_errors_do_not_depend_on_the_pieces(self, server: Server, data: bytes, status: int) -> None:
        """MUST parse a sequence of octets, however it arrives: the same fault is found octet by octet."""
        server.refuses(data, status)
        with server.connect_unix() as wire:
            wire.send_pieces(data[at : at + 1] for at in range(len(data)))
            response = wire.final()
            assert response.status == status
            assert "close" in response.options()
            wire.ends()


class TestVersion:
    """Section 2.3."""

    @pytest.mark.parametrize("version", ["HTTP/2.0", "HTTP/3.0", "HTTP/1.2", "HTTP/1.9", "HTTP/0.9", "HTTP/0.0", "HTTP/9.9"])
    def test_other_versions(self, server: Server, version: str) -> None:
        """SHOULD answer 505 to a major version that it does not support (RFC 9110 section 15.6.6); and we to a minor one."""
        server.refuses(request(version=version), 505)

    @pytest.mark.parametrize(
        "version",
        [
            *("http/1.1", "Http/1.1", "HTTP/1", "HTTP/1.", "HTTP/.1", "HTTP/11", "HTTP/1.1x", "HTTP/1.10", "HTTP/01.1"),
            *("HTTP/1,1", "HTTP /1.1", "HTTP/ 1.1", "HTTP/1 .1", "HTTP/-1.1", "HTTP/+1.1", "HTTP1.1", "HTTPS/1.1", "HTP/1.1"),
            *("ICE/1.0", "1.1", "HTTP/x.y", "HTTP/1.1\x00", "HTTP/1.1 ", "HTTP/1.1\t", "HTTP/1.\u00b9"),
            "HTTP/1.1 HTTP/1.1",
        ],
    )
    def test_malformed(self, server: Server, version: str) -> None:
        """SHOULD respond with 400 to a version that is not ``HTTP/`` DIGIT ``.`` DIGIT; it is case-sensitive."""
        server.refuses(request(version=version), 400)

    @pytest.mark.parametrize("version", ["ICE/1.0", "RTSP/1.0", "SIP/2.0"])
    def test_other_protocols(self, server: Server, version: str) -> None:
        """400, as they are no HTTP; or 505."""
        server.refuses(request(version=version), 400, 505)

    @pytest.mark.parametrize("line", [b"GET /\r\n\r\n", b"GET /\r\n", b"GET\r\n\r\n", b"GET /HTTP/1.1\r\n\r\n", b"GET HTTP/1.1\r\n\r\n"])
    def test_simple_request_of_http_0_9(self, server: Server, line: bytes) -> None:
        """There is no simple request any more: 400 or 505."""
        server.refuses(line, 400, 505)

    def test_preface_of_http_2(self, server: Server) -> None:
        """A client that believes we speak HTTP/2 without TLS hears that we do not (RFC 9113 section 3.4)."""
        server.refuses(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", 505)
