"""No section of its own: whatever comes, in whatever pieces, the server answers well and lives on."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings
from rawhttp import chunked, request
from subject import Server

ANSWERS = {200, 204, 400, 413, 414, 417, 431, 501, 505}
"""All that an application without faults and a server without faults answer to anything here."""

SEEDS = [
    request("/a?b=c", "X-Name: value", "Cookie: a=b"),
    request("/", method="POST", body=b"hello world"),
    request("/", "Transfer-Encoding: chunked", method="PUT", body=chunked(b"hello", b"world" * 9, trailers="X-T: v\r\n")),
    request("/", "Transfer-Encoding: chunked", method="POST", body=b'5;a="b";c=d\r\nhello\r\n000\r\n\r\n'),
    request("http://b.example:81/a?b=c", "Accept: */*"),
    request("*", "Connection: keep-alive", method="OPTIONS"),
    request("/", "Expect: 100-continue", method="POST", body=b"hello"),
    request("/", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x"),
    request("/", "Connection: keep-alive", version="HTTP/1.0"),
    request("/no_content") + request("/stream") + request("/", "Connection: close"),
    request("/nothing", method="DELETE") + request("/single", method="POST", body=b"a=b"),
]

OCTETS = b'\r\n\x00 \t:;,"\\\x7f\x80\xff\x0b0-_%#?*/'
WORDS = [
    *(b"\r\n", b"\r\n\r\n", b"//", b"http://", b"[::1]", b"\xc3\xa9", b"HTTP/1.1", b"HTTP/2.0", b"CONNECT ", b"0\r\n\r\n", b"\r\n 0"),
    *(b"Host: x\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n"),
    *(b"Connection: close\r\n", b"Expect: 100-continue\r\n", b"X-A: b\r\n\tc\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    *(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"ffffffffffffffff", b"99999999999999999999", b"a" * 20_000, b"A: b\r\n" * 6000),
]
PIECES = st.sampled_from([*(bytes([octet]) for octet in OCTETS), *WORDS])


@dataclass(frozen=True)
class Case:
    """A valid request, and what the echo of it must say."""

    data: bytes
    method: str
    path: str
    body: bytes


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A request with its body framed in one of the two ways."""
    method = draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]))
    path = "/" + draw(st.text("abc/._~-", max_size=12)).replace("//", "/") + "x"
    lines = draw(
        st.lists(
            st.sampled_from(["X-A: b", "X-B:", "Cookie: a=b", "Accept: */*", "Connection: keep-alive", "x: \u00e9 \t y", "Upgrade: h2c"]),
            max_size=4,
        )
    )
    body = draw(st.binary(max_size=40))
    crlf = draw(st.sampled_from([b"", b"", b"", b"\r\n"]))
    if draw(st.booleans()):
        cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=3)))
        chunks = [chunk for chunk in (body[start:end] for start, end in itertools.pairwise([0, *cuts, len(body)])) if chunk]
        trailers = draw(st.sampled_from(["", "X-T: v\r\n", "X-T: v\r\nX-U: w\r\n"]))
        data = request(path, *lines, "Transfer-Encoding: chunked", method=method, body=chunked(*chunks, trailers=trailers))
    else:
        data = request(path, *lines, method=method, body=body)
    return Case(crlf + data, method, path, body)


@settings(
    max_examples=250,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(script=st.lists(cases(), min_size=1, max_size=8), data=st.data())
def test_valid_requests_in_any_pieces(server: Server, script: list[Case], data: st.DataObject) -> None:
    """Valid pipelined requests, cut anywhere: the right answers in the right order."""
    stream = b"".join(case.data for case in script)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces = [stream[start:end] for start, end in itertools.pairwise([0, *cuts, len(stream)])]
    with server.connect_unix() as wire:
        wire.send_pieces(piece for piece in pieces if piece)
        for case in script:
            answer = wire.final()
            assert (answer.environ["REQUEST_METHOD"], answer.environ["PATH_INFO"], answer.received) == (case.method, case.path, case.body)
        wire.half_close()
        wire.ends()


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """One of the seeds, or two, with a few octets replaced, inserted, removed, doubled or moved."""
    data = bytearray(b"".join(draw(st.lists(st.sampled_from(SEEDS), min_size=1, max_size=2))))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from([0, 0, 1, 1, 2, 5, 30])))
        match draw(st.sampled_from(["replace", "piece", "remove", "double", "cut"])):
            case "replace":
                data[start:end] = draw(st.binary(min_size=end - start, max_size=end - start))
            case "piece":
                data[start:end] = draw(PIECES)
            case "remove":
                del data[start:end]
            case "double":
                data[end:end] = data[start:end]
            case _:
                del data[start:]
    return bytes(data)


@settings(
    max_examples=500,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=mutants(), cuts=st.lists(st.floats(0, 1), min_size=1, max_size=3))
def test_mutants(server: Server, data: bytes, cuts: list[float]) -> None:
    """Anything like a request: well-formed answers and an orderly end, never a hang, a reset or a 500; the same in pieces as whole."""
    whole = answers(server, [data])
    assert set(whole) <= ANSWERS, whole
    assert not {status for status in whole[:-1] if status >= 400}, f"served on after an error: {whole}"
    if server.hears_half_closed_clients:
        ends = [0, *sorted(int(len(data) * cut) for cut in cuts), len(data)]
        pieces = answers(server, [data[start:end] for start, end in itertools.pairwise(ends) if start < end])
        # Of two faults in one request, either may be named.
        assert [min(status, 400) for status in pieces] == [min(status, 400) for status in whole], f"{pieces} in pieces, {whole} as a whole"
    assert server.exchange(request()).status == 200


def answers(server: Server, pieces: list[bytes]) -> list[int]:
    """The final statuses for what is sent in these pieces, and then ended."""
    with server.connect_unix() as wire:
        wire.send_pieces(pieces)
        wire.half_close()
        return [response.status for response in wire.all() if not response.interim]
