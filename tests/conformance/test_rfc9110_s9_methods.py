"""RFC 9110 section 9: methods. Unknown ones and CONNECT are in RFC 9112 section 3."""

from __future__ import annotations

import pytest
from rawhttp import Response, request
from subject import Server

TARGETS = ["/", "/length", "/single", "/own", "/status?of=404+No", "/status?of=200+OK&length=26"]


def names(response: Response) -> set[str]:
    return {name.lower() for name, _ in response.fields}


class TestHead:
    """Section 9.3.2."""

    @pytest.mark.parametrize(
        "target", [*TARGETS, "/stream", "/written", "/large", "/headless", "/fail", "/status?of=204+No", "/status?of=304+No"]
    )
    def test_has_no_body(self, server: Server, target: str) -> None:
        """MUST NOT send content in the response: the next response follows the header section."""
        with server.connect() as wire:
            wire.send(request(target, method="HEAD"))
            response = wire.final("HEAD")
            if "close" in response.options():
                wire.ends()
            else:
                wire.send(request("/next"))
                assert wire.final().environ["PATH_INFO"] == "/next"

    @pytest.mark.parametrize("target", TARGETS)
    def test_has_the_fields_of_get(self, server: Server, target: str) -> None:
        """SHOULD send the same fields as for GET; a Content-Length MUST be the same (section 8.6)."""
        head, get = server.exchange(request(target, method="HEAD"), "HEAD"), server.exchange(request(target))
        assert head.status == get.status
        assert names(head) == names(get)
        if target != "/":  # the echo of another method has another length
            assert head.field("Content-Length") == get.field("Content-Length")

    def test_of_an_empty_page(self, server: Server) -> None:
        """An empty iterable may mean an empty page, or an application that knows of HEAD: the server need not say which."""
        assert server.exchange(request("/nothing", method="HEAD"), "HEAD").field("Content-Length") in (None, "0")

    @pytest.mark.parametrize("target", ["/stream", "/written", "/large"])
    def test_of_unknown_length(self, server: Server, target: str) -> None:
        """MAY omit what is only determined while the content is generated: MUST NOT claim a length."""
        head, get = server.exchange(request(target, method="HEAD"), "HEAD"), server.exchange(request(target))
        assert names(head) - {"transfer-encoding"} == names(get) - {"transfer-encoding"}
        assert head.field("Content-Length") is None

    def test_application_without_body_for_head(self, server: Server) -> None:
        """Section 8.6: MUST NOT send a Content-Length that is not GET's: an empty iterable is no sign of an empty page."""
        assert server.exchange(request("/headless", method="HEAD"), "HEAD").field("Content-Length") in (None, "11")

    @pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
    @pytest.mark.parametrize("line", ["Connection: close", "Connection: keep-alive"])
    def test_persistence(self, server: Server, version: str, line: str) -> None:
        with server.connect() as wire:
            wire.send(request("/length", line, method="HEAD", version=version))
            response = wire.final("HEAD")
            if line.endswith("close"):
                wire.ends()
            else:
                assert version == "HTTP/1.1" or "keep-alive" in response.options()
                wire.send(request("/next"))
                assert wire.final().environ["PATH_INFO"] == "/next"

    @pytest.mark.parametrize(
        "data",
        [
            *(request(method="HEAD", host=None), request("/", "Expect: x", method="HEAD"), request("/#", method="HEAD")),
            *(request("*", method="HEAD"), request("/", "Content-Length: x", method="HEAD")),
            request("/", "Content-Length: 9999999999", method="HEAD"),
        ],
    )
    def test_errors_have_no_body(self, server: Server, data: bytes) -> None:
        """MUST NOT send content in the response, be it the server's own."""
        server.refuses(data, 400, 413, 417, method="HEAD")


class TestOptions:
    """Section 9.3.7. ``OPTIONS *`` is in RFC 9112 section 3.2.4."""

    def test_reaches_the_application(self, server: Server) -> None:
        environ = server.serves(request("/a", method="OPTIONS", body=b"hello")).environ
        assert (environ["REQUEST_METHOD"], environ["PATH_INFO"]) == ("OPTIONS", "/a")


class TestTrace:
    """Section 9.3.8."""

    def test_does_not_reflect_credentials(self, server: Server) -> None:
        """The server itself answers no TRACE: it is the application's, or refused."""
        response = server.exchange(request("/length", "Cookie: secret=1", method="TRACE"))
        assert response.status in (200, 405, 501)
        assert b"secret" not in response.body
