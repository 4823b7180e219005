"""RFC 9110 section 6: the fields that a server adds to messages: Date (6.6.1); and Server (10.2.4)."""

from __future__ import annotations

import pytest
from rawhttp import request
from subject import Server


@pytest.mark.parametrize("target", ["/", "/stream", "/fail", "/status?of=204+No", "/status?of=304+No", "/status?of=404+No", "/own"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_date_and_server(server: Server, target: str, method: str) -> None:
    """An origin server with a clock MUST generate Date in all 2xx, 3xx and 4xx responses: one, right, and an IMF-fixdate."""
    response = server.exchange(request(target, method=method), method)
    assert len(response.all("Date")) == 1  # its form and value are checked by the parser
    assert response.all("Server") == ["mine" if target == "/own" else "hendrix"]


@pytest.mark.parametrize(
    "data", [request(host=None), request(version="HTTP/3.0"), request("/" + "a" * 70_000), request(method="FOO"), b"?\r\n\r\n"]
)
def test_date_and_server_of_errors(server: Server, data: bytes) -> None:
    """The server's own errors have them too."""
    response = server.refuses(data, 400, 414, 501, 505)
    assert len(response.all("Date")) == 1
    assert response.all("Server") == ["hendrix"]


@pytest.mark.parametrize(
    "data", [request(host=None), request(version="HTTP/3.0"), request("/" + "a" * 70_000), request(method="FOO"), b"?\r\n\r\n"]
)
def test_errors_are_framed(server: Server, data: bytes) -> None:
    """The server's own errors have a length and a type, so that a client need not wait for the end of the connection."""
    response = server.refuses(data, 400, 414, 501, 505)
    assert response.field("Content-Length") is not None
    assert not response.body or response.field("Content-Type") is not None
