"""RFC 9112 section 4: the status line. `rawhttp.Wire` holds every response of all tests to its grammar."""

from __future__ import annotations

import pytest
from rawhttp import request
from subject import Server


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        ("299 Of%20Our%20Own", 299, "Of Our Own"),
        ("404 Not Found", 404, "Not Found"),
        ("418 I'm a teapot", 418, "I'm a teapot"),
        ("500 Caf%E9", 500, "Caf\u00e9"),
        ("599 -", 599, "-"),
    ],
)
def test_status_of_the_application(server: Server, status: str, code: int, reason: str) -> None:
    """The status code and the reason phrase (SP, VCHAR and obs-text) are the application's."""
    response = server.exchange(request(f"/status?of={status}".replace(" ", "%20")))
    assert (response.status, response.reason) == (code, reason)


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_version_is_the_servers(server: Server, version: str) -> None:
    """RFC 9110 section 6.2: SHOULD send its own highest minor version, in answer to HTTP/1.0 also; the parser takes no other."""
    assert server.exchange(request(version=version)).environ["SERVER_PROTOCOL"] == version
