"""RFC 9112 section 3: the request line, its method and the four forms of its target."""

from __future__ import annotations

import pytest
from rawhttp import request
from subject import MAX_TARGET, Server


@pytest.mark.parametrize(
    "line",
    [
        *(" GET / HTTP/1.1", "\tGET / HTTP/1.1", "GET  / HTTP/1.1", "GET /  HTTP/1.1", "GET\t/ HTTP/1.1"),
        *("GET /\tHTTP/1.1", "GET\x0b/ HTTP/1.1", "GET /\x0cHTTP/1.1", "GET\xa0/ HTTP/1.1", "GET / HTTP/1.1 "),
        *("GET / HTTP/1.1\t", "GET  HTTP/1.1", "/ HTTP/1.1", "GET / / HTTP/1.1", "GET /a b HTTP/1.1", "GET/ HTTP/1.1"),
    ],
)
def test_malformed(server: Server, line: str) -> None:
    """Section 3: SHOULD respond with 400 to an invalid request line; white space in the target MUST NOT be corrected."""
    server.refuses(line.encode("latin-1") + b"\r\nHost: a.example\r\n\r\n", 400)


class TestMethod:
    """Section 3.1 (and RFC 9110 section 9.1)."""

    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
    def test_known(self, server: Server, method: str) -> None:
        """GET and HEAD MUST be supported, and an application's methods reach it as they are."""
        assert server.serves(request("/a", method=method)).environ["REQUEST_METHOD"] == method

    @pytest.mark.parametrize("method", ["FOO", "GE", "GETT", "X", "UNKNOWN-METHOD", "GET2", "A" * 100])
    def test_unknown(self, server: Server, method: str) -> None:
        """SHOULD answer 501 to a method that is not recognized or not implemented."""
        server.refuses(request(method=method), 501)

    @pytest.mark.parametrize("method", ["get", "Get", "gET", "GEt", "post", "options", "foo"])
    def test_is_case_sensitive(self, server: Server, method: str) -> None:
        """The method is case-sensitive; in lower case it is a mistake, or a trick: 400."""
        server.refuses(request(method=method), 400)

    @pytest.mark.parametrize(
        "method", ["G=T", "GET,", "G(T", '"GET"', "G\x00T", "G\x01T", "G\x7fT", "G\u00c9T", "[GET]", "GET:", "G@T", "G/T", "{GET"]
    )
    def test_is_a_token(self, server: Server, method: str) -> None:
        """SHOULD respond with 400 to a method that is no token."""
        server.refuses(request(method=method), 400)


class TestTarget:
    """Section 3.2."""

    @pytest.mark.parametrize("target", ["/a#b", "/#", "/?a#b", "/a?#", "http://a.example/#b", "http://a.example#b", "#"])
    def test_fragment_is_refused(self, server: Server, target: str) -> None:
        """A target has no fragment: 400."""
        server.refuses(request(target), 400)

    @pytest.mark.parametrize("byte", [0x80, 0x85, 0xA0, 0xC3, 0xFF])
    @pytest.mark.parametrize("target", ["/a\0b", "\0/", "/a?b\0", "http://a.example/\0", "http://a\0.example/"])
    def test_non_ascii_is_refused(self, server: Server, target: str, byte: int) -> None:
        """A target is a URI, which is ASCII: 400."""
        server.refuses(request(target.replace("\0", chr(byte))), 400)

    @pytest.mark.parametrize("code", [code for code in (*range(0x20), 0x7F) if chr(code) not in "\r\n"])
    def test_control_characters_are_refused(self, server: Server, code: int) -> None:
        """SHOULD respond with 400: a URI has no control characters."""
        server.refuses(request(f"/a{chr(code)}b"), 400)

    @pytest.mark.parametrize(
        "target", ["a", "a/b", "a.html", "?a=b", "..", "./", "a.example/x", "%2F", "&", ";a", "\\", "\\\\a\\b", "**", "*/", "*?a"]
    )
    def test_relative_is_refused(self, server: Server, target: str) -> None:
        """None of the four forms: 400."""
        server.refuses(request(target), 400)

    def test_long(self, server: Server) -> None:
        """Section 3: SHOULD support request lines of 8,000 octets at least."""
        target = "/" + "a" * 7900 + "?" + "b" * 70
        environ = server.serves(request(target)).environ
        assert environ["PATH_INFO"] + "?" + environ["QUERY_STRING"] == target

    def test_of_the_greatest_length(self, server: Server) -> None:
        server.serves(request("/" + "a" * (MAX_TARGET - 1)))

    @pytest.mark.parametrize(
        "target", ["/" + "a" * MAX_TARGET, "/?" + "a" * MAX_TARGET, "http://a.example/" + "a" * MAX_TARGET, "/" + "a" * 100_000]
    )
    def test_too_long(self, server: Server, target: str) -> None:
        """Section 3: MUST answer 414 to a target longer than any that it wishes to parse."""
        server.refuses(request(target), 414)

    def test_endless(self, server: Server) -> None:
        """414 comes before the end of the target, which may never come."""
        with server.connect() as wire:
            wire.send(b"GET /" + b"a" * 100_000)
            assert wire.final().status == 414
            wire.ends()


class TestOriginForm:
    """Section 3.2.1."""

    @pytest.mark.parametrize(
        ("target", "path", "query"),
        [
            ("/", "/", ""),
            ("/a/b.c", "/a/b.c", ""),
            ("/a?b=c&d", "/a", "b=c&d"),
            ("/?", "/", ""),
            ("/a?b?c", "/a", "b?c"),
            ("/a?/b:c@d", "/a", "/b:c@d"),
            ("//a", "//a", ""),
            ("//evil.example/a", "//evil.example/a", ""),
            ("//evil.example:80/a?b", "//evil.example:80/a", "b"),
            ("///", "///", ""),
            ("/http://a.example/", "/http://a.example/", ""),
            ("/a/../b/./c//d", "/a/../b/./c//d", ""),
            ("/a%20b%2Fc%3fd%23", "/a b/c?d#", ""),
            ("/%C3%A9%ff", "/\u00c3\u00a9\u00ff", ""),
            ("/a+b", "/a+b", ""),
            ("/a;b=c,d", "/a;b=c,d", ""),
            ("/:8000/a@b", "/:8000/a@b", ""),
            ("/-._~!$&'()*+,;=:@", "/-._~!$&'()*+,;=:@", ""),
            ("/*", "/*", ""),
            ("/a?b=%20%C3%A9+c", "/a", "b=%20%C3%A9+c"),
        ],
    )
    def test_path_and_query(self, server: Server, target: str, path: str, query: str) -> None:
        """MUST send (so we read) the absolute path and query; the path is percent-decoded for WSGI, the query is not."""
        environ = server.serves(request(target)).environ
        assert (environ["SCRIPT_NAME"], environ["PATH_INFO"], environ["QUERY_STRING"], environ["HTTP_HOST"]) == (
            "",
            path,
            query,
            "a.example",
        )


class TestAbsoluteForm:
    """Section 3.2.2."""

    @pytest.mark.parametrize(
        ("target", "host", "path", "query"),
        [
            ("http://b.example/a?b=c", "b.example", "/a", "b=c"),
            ("http://b.example:81/a", "b.example:81", "/a", ""),
            ("http://b.example", "b.example", "/", ""),
            ("http://b.example?b=c", "b.example", "/", "b=c"),
            ("http://b.example/?", "b.example", "/", ""),
            ("HTTP://b.example/a", "b.example", "/a", ""),
            ("http://127.0.0.1:8000/", "127.0.0.1:8000", "/", ""),
            ("http://[2001:db8::1]/", "[2001:db8::1]", "/", ""),
            ("http://[::1]:8000/a%20b", "[::1]:8000", "/a b", ""),
            ("http://b.example//a//b", "b.example", "//a//b", ""),
            ("http://b.example/http://c.example/", "b.example", "/http://c.example/", ""),
            ("http://b.example/a@b", "b.example", "/a@b", ""),
        ],
    )
    def test_replaces_host(self, server: Server, target: str, host: str, path: str, query: str) -> None:
        """MUST accept the absolute form, and MUST ignore Host and use the host of the target instead."""
        environ = server.serves(request(target, host="other.example:82")).environ
        assert (environ["HTTP_HOST"], environ["PATH_INFO"], environ["QUERY_STRING"]) == (host, path, query)

    def test_in_http_1_0_without_host(self, server: Server) -> None:
        assert server.exchange(request("http://b.example/a", version="HTTP/1.0", host=None)).environ["HTTP_HOST"] == "b.example"

    @pytest.mark.parametrize(
        "authority",
        [
            *("", ":80", "user@b.example", "user:pass@b.example", "@b.example", "b.example:x", "b.example:80:80"),
            *("b.example:-1", "b.example:+80", "b,c", "b.example,c.example", "[::1", "::1", "[::1]x", "[", "[]", "[g]", "b\\c"),
            *("b<c>", 'b"', "b^c", "b|c", "b{c}", "b`c", "%zz", "b%"),
        ],
    )
    def test_wrong_authority(self, server: Server, authority: str) -> None:
        """MUST reject an empty host, SHOULD treat userinfo as an error (RFC 9110 sections 4.2.1 and 4.2.4), and what does not parse."""
        server.refuses(request(f"http://{authority}/a"), 400)

    @pytest.mark.parametrize(
        "target", ["http:", "http:/", "http:/a", "http:a.example/", "http//a.example/", "://a.example/", "ht!tp://a.example/"]
    )
    def test_malformed(self, server: Server, target: str) -> None:
        """SHOULD respond with 400."""
        server.refuses(request(target), 400)

    @pytest.mark.parametrize(
        "target", ["ftp://a.example/", "ws://a.example/", "file:///etc/passwd", "mailto:a@a.example", "urn:a:b", "javascript:a"]
    )
    def test_other_schemes(self, server: Server, target: str) -> None:
        """We are no proxy, and no origin of these: 400 or 421 (RFC 9110 section 7.4)."""
        server.refuses(request(target), 400, 421)

    def test_host_is_still_required(self, server: Server) -> None:
        """Section 3.2: a request of HTTP/1.1 MUST have a Host, be its target absolute or not."""
        server.refuses(request("http://a.example/", host=None), 400)

    def test_host_must_still_be_valid(self, server: Server) -> None:
        """Section 3.2: MUST answer 400 to an invalid Host, be it used or not."""
        server.refuses(request("http://a.example/", host="a@b"), 400)


class TestAuthorityForm:
    """Section 3.2.3."""

    @pytest.mark.parametrize("target", ["a.example:443", "[::1]:80", "127.0.0.1:22"])
    def test_connect(self, server: Server, target: str) -> None:
        """An origin server without CONNECT answers 501 (RFC 9110 section 9.3.6)."""
        server.refuses(request(target, method="CONNECT"), 501)

    @pytest.mark.parametrize("target", ["a.example:", "a.example", "/", "*", "http://a.example/", "user@a.example:443"])
    def test_connect_with_other_targets(self, server: Server, target: str) -> None:
        """501 for the method, or 400 for the target."""
        server.refuses(request(target, method="CONNECT"), 400, 501)

    @pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
    @pytest.mark.parametrize("target", ["a.example:443", "a.example", "[::1]:80", "127.0.0.1:80", ":80"])
    def test_with_other_methods(self, server: Server, method: str, target: str) -> None:
        """The authority form is only for CONNECT: 400."""
        server.refuses(request(target, method=method), 400)


class TestAsteriskForm:
    """Section 3.2.4."""

    def test_options(self, server: Server) -> None:
        """``OPTIONS *`` reaches the application, with the path ``*``."""
        environ = server.serves(request("*", method="OPTIONS")).environ
        assert (environ["REQUEST_METHOD"], environ["SCRIPT_NAME"], environ["PATH_INFO"], environ["QUERY_STRING"]) == (
            "OPTIONS",
            "",
            "*",
            "",
        )

    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"])
    def test_with_other_methods(self, server: Server, method: str) -> None:
        """The asterisk is only for OPTIONS: 400."""
        server.refuses(request("*", method=method), 400, method=method)

    @pytest.mark.parametrize("target", ["**", "*a", "*/", "*?a=b", "*#", "%2A"])
    def test_is_alone(self, server: Server, target: str) -> None:
        """SHOULD respond with 400."""
        server.refuses(request(target, method="OPTIONS"), 400)
