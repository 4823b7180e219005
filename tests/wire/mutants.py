"""Streams of requests that are valid, or nearly, and what must hold for them: used by the tests and by fuzz/."""

from __future__ import annotations

import httptools
import hypothesis.strategies as st
from reading import BEFORE, chunked, head, post, read

from hendrix.wire.known import KnownHeads

STATUSES = {400, 413, 414, 417, 431, 501, 505}

SEEDS = [
    head("X-Name: value", "Cookie: a=b", target="/a?b=c"),
    head("Accept: */*", "accept: text/html", "X-Forwarded-For: 1.2.3.4", "X_Y: z"),
    post(b"hello world"),
    post(b"a\r\n\r\nb", "Expect: 100-continue"),
    chunked(b"5\r\nhello\r\n0\r\n\r\n"),
    chunked(b'5;a="b";c=d\r\nhello\r\n000;e\r\nX-T: v\r\nX-U:\r\n\r\n'),
    head(target="http://b.example:81/a?b=c"),
    head("Connection: keep-alive", method="OPTIONS", target="*"),
    head("Connection: Upgrade", "Upgrade: websocket"),
    post(b"GET / HTTP/1.1\r\nHost: b\r\n\r\n", "Connection: Upgrade", "Upgrade: h2c"),
    head("Connection: keep-alive", version="HTTP/1.0"),
    head("Connection: close"),
    b"\r\n" + head("Host-: x", "Proxy-Connection: close", method="DELETE"),
]

OCTETS = b'\r\n\x00 \t:;,"\\\x7f\x80\xff\x0b0-_%#?*/'
WORDS = [
    *(
        b"\r\n",
        b"\r\n\r\n",
        b"//",
        b"http://",
        b"[::1]",
        b"\xc3\xa9",
        b"HTTP/1.1",
        b"HTTP/2.0",
        b"RTSP/1.0",
        b"CONNECT ",
        b"0\r\n\r\n",
        b"\r\n 0",
    ),
    *(
        b"Host: x\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Expect: 100-continue\r\n",
    ),
    *(
        b"Connection: close\r\n",
        b"Connection: upgrade\r\nUpgrade: x\r\n",
        b"X-A: b\r\n\tc\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\n5\r\nhello",
    ),
    *(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"ffffffffffffffff", b"99999999999999999999", b"a" * 20_000, b"A: b\r\n" * 200),
]
KNOWN = KnownHeads()
"""What all streams so far have taught."""

PIECES = [*(bytes([octet]) for octet in OCTETS), *WORDS]


@st.composite
def valid_requests(draw: st.DrawFn) -> bytes:
    """A request with a body framed in one of the two ways, or none, that keeps the connection alive."""
    method = draw(st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS"]))
    target = draw(st.sampled_from(["/", "http://b/", "http://b:8/a"])) + draw(st.text("abc/._~-%?", max_size=12))
    pool = [
        "X-A: b",
        "x-a:",
        "Cookie: a=b",
        "Connection: keep-alive",
        "x: \xe9 \t y",
        "Upgrade: h2c",
        "Connection: Upgrade",
        "Forwarded: for=a",
        "X_Y: z",
    ]
    lines = draw(st.lists(st.sampled_from(pool), max_size=6))
    body = draw(st.one_of(st.binary(max_size=40), st.sampled_from([b"", b"\r\n\r\n", b"0\r\n\r\n", SEEDS[0]])))
    before = draw(st.sampled_from([b"", b"", b"\r\n", b"\r\n\r\n"]))
    kind = draw(st.sampled_from(["none", "length", "chunked"]))
    if kind == "none":
        return before + head(*lines, method=method, target=target)
    if kind == "length":
        return before + head(*lines, f"Content-Length: {len(body)}", method=method, target=target) + body
    places = sorted(draw(st.lists(st.integers(0, len(body)), max_size=3)))
    pieces = [body[start:end] for start, end in zip([0, *places], [*places, len(body)]) if start < end]
    extension = draw(st.sampled_from([b"", b"", b";a", b'; a = "b;\\""']))
    framed = b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)
    trailers = draw(st.sampled_from([b"", b"X-T: v\r\n", b"X-T: v\r\nX-U:\r\n"]))
    return before + head(*lines, "Transfer-Encoding: chunked", method=method, target=target) + framed + b"00\r\n" + trailers + b"\r\n"


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """Some of the seeds, with a few octets replaced, inserted, removed, doubled or moved."""
    data = bytearray(b"".join(draw(st.lists(st.sampled_from(SEEDS), min_size=1, max_size=3))))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from([0, 0, 1, 1, 2, 5, 30])))
        match draw(st.sampled_from(["replace", "piece", "remove", "double", "cut"])):
            case "replace":
                data[start:end] = draw(st.binary(min_size=end - start, max_size=end - start))
            case "piece":
                data[start:end] = draw(st.sampled_from(PIECES))
            case "remove":
                del data[start:end]
            case "double":
                data[end:end] = data[start:end]
            case _:
                del data[start:]
    return bytes(data)


def check(stream: bytes, pieces: list[bytes]) -> None:
    """What must hold for any stream: no other error than a refusal, for each cut the same requests, also when they were known before,
    and for llhttp as well."""
    whole = read([stream])
    assert whole.status is None or whole.status in STATUSES, whole.status
    assert whole.reason.isprintable()
    for other in (read(pieces), read(bytes([byte]) for byte in stream)):
        assert other.requests == whole.requests
        assert (other.status is None) == (whole.status is None), (whole.status, other.status)
        assert other.parser.stage == whole.parser.stage or whole.status
    read([BEFORE, stream], known=KNOWN)
    assert read([stream], known=KNOWN).result == whole.result
    ours = [(seen.method, seen.body or b"") for seen in whole.requests]
    theirs, stopped = llhttp_sees(stream)
    assert all(one == other for one, other in zip(ours, theirs)), (ours, theirs)
    if not stopped and whole.status is None and not whole.parser.finished:
        assert len(ours) == len(theirs)
    # llhttp bears no white space around a semicolon, ends with an Upgrade, and takes Proxy-Connection for Connection.
    if b";" not in stream and b"pgrade" not in stream.lower() and b"roxy-c" not in stream.lower():
        assert len(ours) <= len(theirs), "llhttp refuses what we accept"


class _Recorder:
    """Callbacks of llhttp."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes]] = []
        self.llhttp = httptools.HttpRequestParser(self)

    def on_message_begin(self) -> None:
        self.body = b""

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.requests.append((self.llhttp.get_method().decode(), self.body))


def llhttp_sees(stream: bytes) -> tuple[list[tuple[str, bytes]], bool]:
    """Method and content of each request that llhttp finds by itself, and whether it stopped before the end."""
    recorder = _Recorder()
    try:
        recorder.llhttp.feed_data(stream)
    except httptools.HttpParserUpgrade:
        return recorder.requests[:-1], True
    except httptools.HttpParserError:
        return recorder.requests, True
    return recorder.requests, False
