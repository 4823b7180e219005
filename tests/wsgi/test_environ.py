"""`hendrix.wsgi.environ`: each variable of PEP 3333, from the bytes of a request; and ``wsgi.errors``."""

from __future__ import annotations

import io
import logging
import threading
import traceback
from typing import Any

import pytest
from recording import Caller, Log

from hendrix.wire.http1 import RequestParser
from hendrix.wsgi.body import open_body
from hendrix.wsgi.environ import LONGEST_LINE, FileWrapper, base_environ, errors, make_environ

BASE = base_environ("www.example", "8000", "https", multiprocess=True)
PEER = ("192.0.2.1", "1234")


def environ(
    target: str = "/", *lines: str, method: str = "GET", version: str = "HTTP/1.1", body: bytes = b"", peer: tuple[str, str] = PEER
) -> dict[str, Any]:
    parser = RequestParser(32768, 1 << 20, open_body, BASE)
    head = "".join(f"{line}\r\n" for line in (f"{method} {target} {version}", "Host: a.example", *lines, ""))
    parser.feed(head.encode("latin-1") + body)
    [request] = parser.requests
    return make_environ(request, peer)


class TestVariables:
    def test_all_of_a_simple_request(self) -> None:
        made = environ("/a?b")
        assert isinstance(made.pop("wsgi.input"), io.BytesIO)
        assert made.pop("SERVER_SOFTWARE").startswith("hendrix/")
        assert made == {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": "/a",
            "QUERY_STRING": "b",
            "SERVER_NAME": "www.example",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "192.0.2.1",
            "REMOTE_PORT": "1234",
            "HTTP_HOST": "a.example",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "https",
            "wsgi.errors": errors,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
            "wsgi.file_wrapper": FileWrapper,
        }

    def test_is_a_dict_of_its_own(self) -> None:
        """PEP 3333: "a builtin Python dictionary", which the application may change."""
        first = environ()
        assert type(first) is dict
        before = dict(BASE)
        first.clear()
        first["SCRIPT_NAME"] = "/changed"
        assert before == BASE
        assert environ()["SCRIPT_NAME"] == ""

    def test_native_strings(self) -> None:
        for name, value in environ("/\u00e9".replace("\u00e9", "%C3%A9"), "X-Name: \xe9", "Cookie: a").items():
            assert type(name) is str
            if not name.startswith("wsgi."):
                assert type(value) is str, name
                value.encode("latin-1")

    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"])
    def test_method(self, method: str) -> None:
        assert environ(method=method)["REQUEST_METHOD"] == method

    @pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
    def test_protocol(self, version: str) -> None:
        assert environ(version=version)["SERVER_PROTOCOL"] == version
        assert environ()["SERVER_PROTOCOL"] == "HTTP/1.1", "it sticks"

    def test_peer(self) -> None:
        made = environ(peer=("2001:db8::1", "5"))
        assert (made["REMOTE_ADDR"], made["REMOTE_PORT"]) == ("2001:db8::1", "5")

    def test_peer_of_a_unix_socket(self) -> None:
        made = environ(peer=("", ""))
        assert (made["REMOTE_ADDR"], made["REMOTE_PORT"]) == ("", "")


class TestPath:
    @pytest.mark.parametrize(
        ("target", "path", "query"),
        [
            ("/", "/", ""),
            ("/?", "/", ""),
            ("/a?b=c", "/a", "b=c"),
            ("/a?b?c", "/a", "b?c"),
            ("//a//", "//a//", ""),
            ("/a/../b", "/a/../b", ""),
            ("/a+b%20c", "/a+b c", ""),
            ("/%C3%A9", "/\xc3\xa9", ""),
            ("/%c3%a9", "/\xc3\xa9", ""),
            ("/%ff%80%00", "/\xff\x80\x00", ""),
            ("/a%2fb%2Fc", "/a/b/c", ""),
            ("/%3Fa%23", "/?a#", ""),
            ("/%25%32%35", "/%25", ""),
            ("/%252f", "/%2f", ""),
            ("/%", "/%", ""),
            ("/%zz%4", "/%zz%4", ""),
            ("/%u0041", "/%u0041", ""),
            ("/a?%C3%A9+%2f%zz", "/a", "%C3%A9+%2f%zz"),
            ("http://b.example/%41?%41", "/A", "%41"),
            ("http://b.example", "/", ""),
        ],
    )
    def test_is_decoded_and_the_query_is_not(self, target: str, path: str, query: str) -> None:
        """PEP 3333, "Unicode Issues": a character for each byte."""
        made = environ(target)
        assert (made["SCRIPT_NAME"], made["PATH_INFO"], made["QUERY_STRING"]) == ("", path, query)

    def test_each_byte(self) -> None:
        for code in range(256):
            assert environ(f"/a%{code:02x}b")["PATH_INFO"] == f"/a{chr(code)}b"
            assert environ(f"/a%{code:02X}b?%{code:02X}")["QUERY_STRING"] == f"%{code:02X}"

    def test_asterisk(self) -> None:
        made = environ("*", method="OPTIONS")
        assert (made["PATH_INFO"], made["QUERY_STRING"]) == ("*", "")


class TestFields:
    def test_names(self) -> None:
        made = environ("/", "X-A: 1", "x-b: 2", "X--C-: 3", "content-type: text/plain", "Accept:", "1: 4", "!~: 5")
        expected = {
            "HTTP_X_A": "1",
            "HTTP_X_B": "2",
            "HTTP_X__C_": "3",
            "CONTENT_TYPE": "text/plain",
            "HTTP_ACCEPT": "",
            "HTTP_1": "4",
            "HTTP_!~": "5",
        }
        assert expected.items() <= made.items()
        assert "HTTP_CONTENT_TYPE" not in made

    def test_values_are_latin_1(self) -> None:
        assert environ("/", "X-A: \xe9\xff \t a \t")["HTTP_X_A"] == "\xe9\xff \t a"

    def test_repeated(self) -> None:
        made = environ("/", "X-A: 1", "x-a:", "X-A: 2", "Cookie: a=b", "Cookie: c=d", "Content-Type: a", "Content-Type: b")
        assert (made["HTTP_X_A"], made["HTTP_COOKIE"], made["CONTENT_TYPE"]) == ("1, , 2", "a=b; c=d", "a, b")

    @pytest.mark.parametrize(
        "line", ["X_A: 1", "Content_Length: 5", "Content_Type: a", "_: a", "Proxy: a", "PROXY: a", "proxy: a", "X-Forwarded_For: a"]
    )
    def test_names_that_must_not_be_seen(self, line: str) -> None:
        """Two spellings must not meet, and HTTP_PROXY is the application's own."""
        assert set(environ("/", line)) == set(environ())

    @pytest.mark.parametrize(
        "name", ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "X-Real-IP", "x-forwarded-for"]
    )
    def test_fields_of_proxies_are_kept_apart(self, name: str) -> None:
        assert set(environ("/", f"{name}: a")) == set(environ())

    @pytest.mark.parametrize(
        "name",
        [
            "REQUEST-METHOD",
            "SCRIPT-NAME",
            "PATH-INFO",
            "SERVER-NAME",
            "REMOTE-ADDR",
            "REMOTE-USER",
            "AUTH-TYPE",
            "HTTPS",
            "wsgi.input",
            "wsgi.errors",
        ],
    )
    def test_variables_of_the_server_cannot_be_set(self, name: str) -> None:
        made, plain = environ("/", f"{name}: evil"), environ()
        del made["wsgi.input"], plain["wsgi.input"]
        assert plain.items() <= made.items()
        assert set(made) - set(plain) == {"HTTP_" + name.upper().replace("-", "_")}

    def test_no_transfer_encoding(self) -> None:
        assert "HTTP_TRANSFER_ENCODING" not in environ("/", "Transfer-Encoding: chunked", method="POST", body=b"0\r\n\r\n")


class TestContent:
    def test_none(self) -> None:
        made = environ()
        assert made["wsgi.input"].read() == b""
        assert "CONTENT_LENGTH" not in made
        assert "CONTENT_TYPE" not in made

    def test_of_known_length(self) -> None:
        made = environ("/", "Content-Length: 5", method="POST", body=b"hello")
        assert (made["CONTENT_LENGTH"], made["wsgi.input"].read()) == ("5", b"hello")

    def test_of_no_length(self) -> None:
        made = environ("/", "Content-Length: 0", method="POST")
        assert (made["CONTENT_LENGTH"], made["wsgi.input"].read()) == ("0", b"")

    def test_chunked_has_a_true_length(self) -> None:
        """Frameworks read nothing without CONTENT_LENGTH."""
        made = environ("/", "Transfer-Encoding: chunked", method="POST", body=b"5\r\nhello\r\n6\r\n world\r\n0\r\nX-T: v\r\n\r\n")
        assert (made["CONTENT_LENGTH"], made["wsgi.input"].read()) == ("11", b"hello world")
        assert "HTTP_X_T" not in made

    def test_chunked_and_empty(self) -> None:
        made = environ("/", "Transfer-Encoding: chunked", method="POST", body=b"0\r\n\r\n")
        assert (made["CONTENT_LENGTH"], made["wsgi.input"].read()) == ("0", b"")

    @pytest.mark.parametrize("line", ["", "Content-Length: 3"])
    def test_input_ends_where_it_ends(self, line: str) -> None:
        """``wsgi.input_terminated``: an application may read to the end."""
        made = environ("/", line or "X: y", method="POST", body=b"abc" if line else b"")
        assert made["wsgi.input"].read() == (b"abc" if line else b"")
        assert made["wsgi.input"].read() == made["wsgi.input"].readline() == b""


class TestErrors:
    def test_lines(self, log: Log) -> None:
        assert errors.write("one\ntwo\r\n\n  \nthr{e}e\n") == 21
        assert log.lines == ["one", "two", "thr{e}e"]
        assert {event["log_namespace"] for event in log} == {"wsgi.errors"}
        assert {event["log_level"].name for event in log} == {"error"}

    def test_print_writes_a_line_in_pieces(self, log: Log) -> None:
        print("a", 1, "b", file=errors)
        assert log.lines == ["a 1 b"]
        print(file=errors)
        print("c\nd", end="", file=errors)
        assert log.lines == ["a 1 b", "c"]
        print(" e", file=errors)
        assert log.lines == ["a 1 b", "c", "d e"]
        assert not errors.begun

    def test_flush(self, log: Log) -> None:
        errors.write("a")
        assert not log
        errors.flush()
        errors.flush()
        assert log.lines == ["a"]
        errors.write("b\n")
        assert log.lines == ["a", "b"]

    def test_writelines(self, log: Log) -> None:
        errors.writelines(line for line in ["a", "b\n", "c\n", "d"])
        errors.flush()
        assert log.lines == ["ab", "c", "d"]

    def test_a_line_without_end_is_not_held_for_ever(self, log: Log) -> None:
        for _ in range(3 * LONGEST_LINE // 100):
            errors.write("x" * 100)
        assert len(log) == 3
        assert not errors.begun

    def test_what_is_begun_is_logged_at_the_end_of_the_response(self, call: Caller, log: Log) -> None:
        def app(environ: Any, start_response: Any) -> list[bytes]:
            environ["wsgi.errors"].write("no end")
            start_response("200 OK", [])
            return []

        call(app)
        assert log.lines == ["no end"]
        assert not errors.begun

    def test_each_thread_has_lines_of_its_own(self, log: Log) -> None:
        errors.write("a")
        thread = threading.Thread(target=lambda: print("b", file=errors))
        thread.start()
        thread.join()
        errors.write("c\n")
        assert log.lines == ["b", "ac"]

    def test_logging_and_traceback(self, log: Log) -> None:
        handler = logging.StreamHandler(errors)
        handler.emit(logging.LogRecord("x", logging.ERROR, "", 0, "a %s", ("b",), None))
        try:
            raise ValueError("why")
        except ValueError:
            traceback.print_exc(file=errors)
        assert log.lines[0] == "a b"
        assert log.lines[1] == "Traceback (most recent call last):"
        assert log.lines[-1] == "ValueError: why"

    @pytest.mark.parametrize("text", [b"bytes", None, 5])
    def test_no_text(self, text: Any) -> None:
        with pytest.raises(TypeError):
            errors.write(text)
        assert not errors.begun
