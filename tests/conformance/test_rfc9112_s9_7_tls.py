"""RFC 9112 sections 9.7 and 9.8: HTTP in TLS, and how a connection in TLS ends."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest
from rawhttp import Wire, chunked, request
from subject import HERE, MAX_BODY, Hold, Server

from certificates import Certificate
from harness import Site


@pytest.fixture(scope="module")
def site(certificate: Certificate) -> Iterator[Site]:
    endpoint = f"ssl:0:interface=127.0.0.1:privateKey={certificate.key}:certKey={certificate.cert}"
    with Site("app:app", "--threads=2", f"--max-body={MAX_BODY}", cwd=HERE, listen=[endpoint]) as site:
        yield site


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["TLS 1.2", "TLS 1.3"])
def wire(request: pytest.FixtureRequest, site: Site, certificate: Certificate) -> Iterator[Wire]:
    """A connection that takes an end without a closure alert for a truncation attack, as it is (section 9.8)."""
    context = ssl.create_default_context(cafile=certificate.authority)
    context.minimum_version = context.maximum_version = request.param
    connection = site.connect(tls=False)
    with Wire(context.wrap_socket(connection, server_hostname="localhost", suppress_ragged_eofs=False)) as wire:
        yield wire


def test_persists(wire: Wire) -> None:
    """Section 9.7: all HTTP data is sent as TLS application data, and is HTTP as ever."""
    for number in range(20):
        wire.send(request(f"/{number}"))
        environ = wire.final().environ
        assert (environ["PATH_INFO"], environ["wsgi.url_scheme"]) == (f"/{number}", "https")


def test_pipelining(wire: Wire) -> None:
    """Section 9.3.2: MUST send the responses in order."""
    wire.send(b"".join(request(f"/{number}") for number in range(100)))
    assert [wire.final().environ["PATH_INFO"] for _ in range(100)] == [f"/{number}" for number in range(100)]


@pytest.mark.parametrize("size", [1, 16384, 16385, 300_000, MAX_BODY])
def test_large_body(wire: Wire, size: int) -> None:
    """Across the bounds of TLS records."""
    wire.send(request("/size", method="POST", body=b"x" * size) + request("/large"))
    assert wire.final().body == b"%d" % size
    assert len(wire.final().body) == 1 << 20


def test_octet_by_octet(wire: Wire) -> None:
    """Each in a record of its own."""
    data = request("/", "Transfer-Encoding: chunked", method="POST", body=chunked(b"hello", trailers="X-T: v\r\n"))
    for octet in data:
        wire.send(bytes([octet]))
    assert wire.final().received == b"hello"


def test_continue(wire: Wire) -> None:
    """RFC 9110 section 10.1.1."""
    wire.send(request("/", "Expect: 100-continue", "Content-Length: 5", method="POST"))
    assert wire.response().status == 100
    wire.send(b"hello")
    assert wire.final().received == b"hello"


@pytest.mark.parametrize("target", ["/", "/length", "/stream", "/large", "/nothing", "/status?of=204+No"])
@pytest.mark.parametrize("data", [request("{}", "Connection: close"), request("{}", version="HTTP/1.0")], ids=["close", "HTTP/1.0"])
def test_ends_with_a_closure_alert(wire: Wire, target: str, data: bytes) -> None:
    """Section 9.8: MUST attempt to exchange closure alerts before closing: after the whole answer."""
    wire.send(data.replace(b"{}", target.encode()))
    response = wire.final()
    assert len(response.body) == 1 << 20 or target != "/large"
    wire.ends()


@pytest.mark.parametrize(
    ("data", "status"),
    [(request(host=None), 400), (request("/", "Content-Length: 99999999", method="POST"), 413), (request(method="FOO"), 501)],
)
def test_error_ends_with_a_closure_alert(wire: Wire, data: bytes, status: int) -> None:
    """Section 9.8, for the server's own answers."""
    wire.send(data)
    assert wire.final().status == status
    wire.ends()


def test_error_reaches_a_client_that_still_sends(wire: Wire) -> None:
    """Section 9.6: SHOULD read on for a while, lest a reset takes the answer with it."""
    wire.send(request("/", "Content-Length: 99999999", method="POST"))
    for _ in range(16):
        wire.send(b"x" * 65536)
    assert wire.final().status == 413


def test_client_closes_first(site: Site, wire: Wire) -> None:
    """Section 9.8: MUST be prepared to receive a closure alert."""
    wire.send(request())
    assert wire.final().status == 200
    assert isinstance(wire.socket, ssl.SSLSocket)
    wire.socket.unwrap()
    assert site.get().status == 200


def test_client_leaves_without_alert(site: Site, wire: Wire, hold: Hold) -> None:
    """Section 9.8: may be taken for incomplete; the server lives on."""
    wire.send(request(hold.target))
    hold.entered()
    wire.socket.close()
    hold.release()
    assert site.get().status == 200


@pytest.mark.parametrize("data", [request(), b"\x16\x03\x01\x00\x05hello", b"\x00" * 100], ids=["HTTP", "bad hello", "zeros"])
def test_what_is_not_tls(site: Site, data: bytes) -> None:
    """The connection ends, with an alert at most, and without a traceback in the log; the next client is served."""
    with Wire(site.connect(tls=False)) as wire:
        wire.send(data)
        assert b"HTTP/1.1 200" not in wire.rest()
    assert site.get().status == 200
    assert "Traceback" not in site.log


def test_handshake_that_stalls(site: Site) -> None:
    """Nobody waits for it."""
    with Wire(site.connect(tls=False)) as wire:
        wire.send(b"\x16\x03\x01")
        assert site.get().status == 200


def test_server_of_the_other_tests_speaks_no_tls(server: Server) -> None:
    """And the other way round: a TLS client at a plain port hears a 400, which is how it knows."""
    with server.connect() as wire:
        wire.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        assert wire.final().status == 400
        wire.ends()
