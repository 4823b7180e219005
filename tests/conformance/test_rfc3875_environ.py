"""RFC 3875 section 4.1 and PEP 3333: what of a request becomes a variable, and what must not."""

from __future__ import annotations

import pytest
from rawhttp import request
from subject import Server


@pytest.mark.parametrize(
    "line",
    [
        *("X_Forwarded_For: evil", "X_Name: evil", "Content_Length: 5", "Content_Type: evil", "Transfer_Encoding: chunked"),
        *("_: evil", "X_-A: evil", "_X: evil", "X-A_: evil", "Remote_User: evil", "REMOTE_ADDR: evil", "Script_Name: evil"),
        *("Wsgi_Input: evil", "HTTP_X: evil", "Cookie_: evil", "Host_: evil", "SSL_CLIENT_VERIFY: evil"),
    ],
)
def test_names_with_underscore_are_dropped(server: Server, line: str) -> None:
    """RFC 3875 section 4.1.18: ``X_A`` would become the variable of ``X-A``, and whoever filters the one lets the other pass."""
    environ = server.serves(request("/", line)).environ
    assert "evil" not in str(environ)


def test_name_with_underscore_does_not_replace(server: Server) -> None:
    for lines in (["X-Name: good", "X_Name: evil"], ["X_Name: evil", "X-Name: good"]):
        assert server.serves(request("/", *lines)).environ["HTTP_X_NAME"] == "good"


@pytest.mark.parametrize("name", ["Proxy", "proxy", "PROXY", "pRoXy"])
def test_proxy_is_dropped(server: Server, name: str) -> None:
    """httpoxy: HTTP_PROXY is the variable by which many programs find their proxy."""
    environ = server.serves(request("/", f"{name}: http://evil.example/")).environ
    assert "HTTP_PROXY" not in environ
    assert "evil" not in str(environ)


@pytest.mark.parametrize(
    "name",
    ["Remote-User", "Remote-Addr", "Script-Name", "Path-Info", "Request-Method", "Server-Name", "Wsgi.input", "wsgi.url-scheme", "Https"],
)
def test_fields_do_not_become_other_variables(server: Server, name: str) -> None:
    """A protocol variable is prefixed with ``HTTP_``, so it shadows none of the server's."""
    with_it, without = server.serves(request("/", f"{name}: evil")).environ, server.serves(request()).environ
    added = {key: value for key, value in with_it.items() if without.get(key) != value and key != "REMOTE_PORT"}
    assert set(added) <= {"HTTP_" + name.upper().replace("-", "_")}


def test_content_fields_have_no_prefix(server: Server) -> None:
    environ = server.serves(request("/", "Content-Type: text/x", method="POST", body=b"hello")).environ
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("text/x", "5")
    assert not {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"} & environ.keys()


def test_length_of_a_chunked_body_is_known(server: Server) -> None:
    """Section 4.1.2: MUST be set if there is a body; the coding is gone, so its field is as well."""
    environ = server.serves(request("/", "Transfer-Encoding: chunked", method="POST", body=b"5\r\nhello\r\n0\r\n\r\n")).environ
    assert environ["CONTENT_LENGTH"] == "5"
    assert "HTTP_TRANSFER_ENCODING" not in environ


@pytest.mark.parametrize(
    "line",
    [
        *("X-Forwarded-For: 203.0.113.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example"),
        *("X-Forwarded-Port: 444", "X-Forwarded-For: not an address"),
        *("Forwarded: for=203.0.113.1;proto=https;host=evil.example", 'Forwarded: for="unterminated'),
    ],
)
def test_forwarded_fields_of_untrusted_peers_are_dropped(server: Server, line: str) -> None:
    """Nobody is trusted by default: what they say has no effect, and does not reach applications that might believe it."""
    environ = server.serves(request("/", line)).environ
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"], environ["HTTP_HOST"]) == ("127.0.0.1", "http", "a.example")
    assert environ["SERVER_PORT"] == str(server.site.port)
    assert not [name for name in environ if "FORWARDED" in name]


def test_variables_of_the_server(server: Server) -> None:
    """Section 4.1: the meta-variables that a server MUST set."""
    environ = server.serves(request("/a?b=c", method="PUT")).environ
    assert environ["SERVER_NAME"]
    expected = {"REQUEST_METHOD": "PUT", "SCRIPT_NAME": "", "PATH_INFO": "/a", "QUERY_STRING": "b=c", "SERVER_PROTOCOL": "HTTP/1.1"}
    assert {name: environ[name] for name in expected} == expected
    assert (environ["SERVER_PORT"], environ["REMOTE_ADDR"]) == (str(server.site.port), "127.0.0.1")
