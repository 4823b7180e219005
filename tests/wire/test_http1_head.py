"""`hendrix.wire.http1`: the request line and the fields. Each case in every way to cut it into reads, and between other requests."""

from __future__ import annotations

import pytest
from reading import AFTER, accepts, chunked, cuts, head, new_parser, post, read, refuses

from hendrix.errors import PeerError
from hendrix.wire import http1
from hendrix.wire.fields import MAX_FIELDS, TABLE_SIZE

TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
CONTROLS = bytes([*range(0x20), 0x7F])


class TestRequestLine:
    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "REPORT", "QUERY"])
    def test_method(self, method: str) -> None:
        assert accepts(head(method=method)).method == method

    @pytest.mark.parametrize("method", ["FOO", "G", "GETT", "GET2", "X", "!", "A" * 100])
    def test_unknown_method(self, method: str) -> None:
        refuses(head(method=method), 501)

    @pytest.mark.parametrize("target", ["/", "a:80", "a", "*", "http://a/"])
    def test_unsupported_method(self, target: str) -> None:
        refuses(head(method="CONNECT", target=target), 501)
        refuses(head(method="SOURCE", target=target), 501, 400)

    @pytest.mark.parametrize("method", ["get", "Get", "G=T", "G(T", "G\x00T", "G\x7fT", "G\xc9T", '"GET"', "", " ", "\t", "G\tT"])
    def test_no_method(self, method: str) -> None:
        refuses(head(method=method), 400)

    @pytest.mark.parametrize("method", ["DESCRIBE", "ANNOUNCE", "SETUP", "PLAY", "PAUSE", "TEARDOWN", "RECORD", "FLUSH", "PRI"])
    def test_methods_of_other_protocols(self, method: str) -> None:
        """llhttp knows them."""
        refuses(head(method=method), 400, 501, 505)

    @pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
    def test_version(self, version: str) -> None:
        assert accepts(head(version=version)).http10 is (version == "HTTP/1.0")

    @pytest.mark.parametrize("version", ["HTTP/0.9", "HTTP/1.2", "HTTP/1.9", "HTTP/2.0", "HTTP/3.0", "HTTP/0.0"])
    def test_unknown_version(self, version: str) -> None:
        refuses(head(version=version), 505)

    @pytest.mark.parametrize("version", ["RTSP/1.0", "RTSP/1.1", "ICE/1.0", "ICE/1.1"])
    @pytest.mark.parametrize("method", ["GET", "OPTIONS", "DESCRIBE", "SOURCE", "POST"])
    def test_other_protocols(self, version: str, method: str) -> None:
        """llhttp takes some of them."""
        refuses(head(method=method, version=version), 400, 501, 505)

    @pytest.mark.parametrize(
        "version", ["http/1.1", "HTTP/1.1 ", "HTTP/1.1x", "HTTP/11", "HTTP/1", "HTTP/1.", "HTTP/1.10", "HTTP/01.1", "HTTP 1.1", "HTTQ/1.1"]
    )
    def test_malformed_version(self, version: str) -> None:
        refuses(head(version=version), 400, 505)

    @pytest.mark.parametrize(
        "line",
        [
            *(b"GET  / HTTP/1.1\r\n", b"GET /  HTTP/1.1\r\n", b"GET / HTTP/1.1 \r\n", b" GET / HTTP/1.1\r\n", b"GET\t/ HTTP/1.1\r\n"),
            *(
                b"GET /\tHTTP/1.1\r\n",
                b"GET / a HTTP/1.1\r\n",
                b"GET HTTP/1.1\r\n",
                b"GET / HTTP/1.1\n",
                b"GET / HTTP/1.1\r",
                b"GET / \r\n",
            ),
            *(
                b"GET / HTTP/1.1\r\r\n",
                b"GET / HTTP/1.1\r\n X: y\r\n",
                b"GET / HTTP/1.1\n\r\n",
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            ),
            b"HTTP/1.1 200 OK\r\n",
        ],
    )
    def test_malformed(self, line: bytes) -> None:
        refuses(line + b"Host: a\r\n\r\n", 400, 501, 505)

    def test_http_0_9(self) -> None:
        refuses(b"GET /\r\n\r\n", 400, 505)

    def test_preface_of_http_2(self) -> None:
        refuses(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505)

    @pytest.mark.parametrize("lines", [b"\r\n", b"\r\n\r\n", b"\r\n" * 1000])
    def test_empty_lines_before_it(self, lines: bytes) -> None:
        """RFC 9112 section 2.2."""
        assert accepts(lines + head()) == accepts(head())
        outcome = read([head(), lines, head()])
        assert len(outcome.requests) == 2

    @pytest.mark.parametrize(
        "lines", [b"\n", b"\r", b"\r\r\n", b"\n\r\n", b"\r\n\n", b"\r\n\r", b"\r\n\r\r\n", b" \r\n", b"\0", b"\r\n \r\n", b"\xef\xbb\xbf"]
    )
    def test_no_empty_line(self, lines: bytes) -> None:
        refuses(lines + head(), 400)

    @pytest.mark.parametrize("lines", [b"\r\r\n", b"\n", b"\r\n\r\r\n", b"\r\r", b"\r\n\n", b"\n\r"])
    def test_no_empty_line_before_nothing(self, lines: bytes) -> None:
        for pieces in cuts(lines):
            assert read([head(), *pieces]).status == 400

    def test_empty_lines_are_no_request(self) -> None:
        for end in (b"", b"\r"):
            parser = new_parser()
            parser.feed(b"\r\n" * 100 + end)
            assert (parser.stage, parser.method, len(parser.requests)) == (http1.IDLE, "", 0)


class TestTarget:
    @pytest.mark.parametrize("target", ["/", "//", "/a/../b", "/?", "/?a?b", "/a%2fb%zz", "/:80/@", "/*", '/"<>\\^`{|}', "/http://b/"])
    def test_path(self, target: str) -> None:
        assert accepts(head(target=target)).target == target

    def test_each_byte(self) -> None:
        """A target is ASCII without controls, spaces and fragments (RFC 9112 section 3.2)."""
        for code in range(256):
            for target in (f"/{chr(code)}x", f"/a?{chr(code)}"):
                outcome = read([head(target=target)])
                if 0x20 < code < 0x7F and code != ord("#"):
                    assert outcome.one.target == target
                else:
                    assert (outcome.requests, outcome.status) == ([], 400), target

    @pytest.mark.parametrize(
        ("target", "path", "host"),
        [
            ("http://b/x?y", "/x?y", "b"),
            ("http://b", "/", "b"),
            ("http://b?y", "/?y", "b"),
            ("https://b:1/", "/", "b:1"),
            ("HTTP://B/", "/", "B"),
            ("http://[::1]:80//a", "//a", "[::1]:80"),
        ],
    )
    def test_absolute(self, target: str, path: str, host: str) -> None:
        for version in ("HTTP/1.1", "HTTP/1.0"):
            seen = accepts(head(target=target, version=version))
            assert (seen.target, seen.fields["HTTP_HOST"]) == (path, host)

    @pytest.mark.parametrize(
        "target", ["http://", "http:///a", "http://u@b/", "http://b:x/", "http://b,c/", "http://b:80:80/", "http://[::1/", "http://b#c"]
    )
    def test_malformed_absolute(self, target: str) -> None:
        refuses(head(target=target), 400)

    @pytest.mark.parametrize(
        "target", ["a", "a/b", "?", "..", "ftp://b/", "ws://b/", "mailto:a@b", "a:80", "[::1]:80", "*x", "**", "/#", "#", "/a#b", "/a?#"]
    )
    def test_none(self, target: str) -> None:
        refuses(head(target=target), 400)

    def test_asterisk(self) -> None:
        assert accepts(head(method="OPTIONS", target="*")).target == "*"
        for method in ("GET", "HEAD", "POST"):
            refuses(head(method=method, target="*"), 400)

    def test_asterisk_in_absolute_form(self) -> None:
        """RFC 9112 section 3.2.4: an empty path is what a proxy has to make of it, and the other way round."""
        assert accepts(head(method="OPTIONS", target="http://b")).target == "*"
        assert accepts(head(method="OPTIONS", target="http://b/")).target == "/"
        assert accepts(head(method="OPTIONS", target="http://b?x")).target == "/?x"

    def test_is_known_before_the_request_is_complete(self) -> None:
        """The method decides whether a refusal has content."""
        parser = new_parser()
        for data, method in (
            (b"HE", ""),
            (b"AD", ""),
            (b" /a", "HEAD"),
            (b" HTTP/1.1\r\nContent-Le", "HEAD"),
            (b"ngth: 5\r\nHost: a\r\n\r\n", "HEAD"),
        ):
            parser.feed(data)
            assert parser.method == method
        parser.feed(b"hello")
        assert parser.method == ""

    @pytest.mark.parametrize(
        "line", ["Bad Name: x", "Host: a", "Content-Length: 99999999", "Expect: x", "Transfer-Encoding: gzip", "X: \0"]
    )
    def test_is_known_after_a_refusal(self, line: str) -> None:
        parser = new_parser()
        with pytest.raises(PeerError):
            parser.feed(head(line, method="HEAD"))
        assert parser.method == "HEAD"


class TestFields:
    def test_each_byte_of_a_name(self) -> None:
        for code in range(256):
            for name in (f"{chr(code)}X", f"X{chr(code)}", f"X{chr(code)}X"):
                outcome = read([head(f"{name}: v")])
                if code in TOKEN or (code == ord(":") and name[0] == "X"):
                    assert outcome.status is None, name
                else:
                    assert (outcome.requests, outcome.status) == ([], 400), name

    def test_each_byte_of_a_value(self) -> None:
        for code in range(256):
            for value in (f"{chr(code)}v", f"v{chr(code)}", f"v{chr(code)}v"):
                outcome = read([head(f"X: {value}")])
                if code in CONTROLS and code != 9:
                    assert (outcome.requests, outcome.status) == ([], 400), value
                else:
                    assert outcome.one.fields["HTTP_X"] == value.strip(" \t")

    @pytest.mark.parametrize(
        "lines",
        ["X: a\r\n b", "X: a\r\n\tb", "X: a\r\n ", "X:\r\n a", " X: a", "X : a", "X\t: a", ": a", "X", "X a", "X: a\nY: b", "X: a\rY: b"],
    )
    def test_malformed(self, lines: str) -> None:
        refuses(head(lines), 400)

    @pytest.mark.parametrize("end", [b"\n\n", b"\r\n\n", b"\n\r\n", b"\r\r\n\r\n", b"\r\n\r\r\n"])
    def test_malformed_end(self, end: bytes) -> None:
        refuses(b"GET / HTTP/1.1\r\nHost: a" + end, 400)

    def test_repeated(self) -> None:
        seen = accepts(head("X: a", "x:", "X: b", "Cookie: c=d", "cookie: e=f"))
        assert (seen.fields["HTTP_X"], seen.fields["HTTP_COOKIE"]) == ("a, , b", "c=d; e=f")

    def test_dropped(self) -> None:
        assert accepts(head("X_A: 1", "Proxy: 2", "Content_Length: 3")).fields == {"HTTP_HOST": "a"}

    def test_forwarded_are_kept_apart(self) -> None:
        seen = accepts(head("X-Forwarded-For: 1.2.3.4 ", "Forwarded: for=a", "X-Forwarded-For:  5.6.7.8", "X-Real-IP: 9.9.9.9"))
        assert seen.fields == {"HTTP_HOST": "a"}
        assert seen.forwarded == {"HTTP_X_FORWARDED_FOR": "1.2.3.4, 5.6.7.8", "HTTP_FORWARDED": "for=a", "HTTP_X_REAL_IP": "9.9.9.9"}
        assert accepts(head()).forwarded is None

    def test_no_field_of_one_request_is_seen_in_another(self) -> None:
        outcome = read([head("X: a", "X-Forwarded-For: b", "Connection: keep-alive") + post(b"c", "Y: d") + head("Z: e")])
        first, second, third = outcome.requests
        assert (set(first.fields), first.forwarded) == ({"HTTP_HOST", "HTTP_X", "HTTP_CONNECTION"}, {"HTTP_X_FORWARDED_FOR": "b"})
        assert (set(second.fields), second.forwarded) == ({"HTTP_HOST", "HTTP_Y", "CONTENT_LENGTH"}, None)
        assert (set(third.fields), third.body) == ({"HTTP_HOST", "HTTP_Z"}, None)


class TestHost:
    def test_missing(self) -> None:
        refuses(head(host=None), 400)
        refuses(head(host=None, target="http://b/"), 400)
        assert "HTTP_HOST" not in accepts(head(host=None, version="HTTP/1.0")).fields

    @pytest.mark.parametrize("lines", [["Host: a"], ["Host: b"], ["host: a"], ["X: y", "HOST:"]])
    def test_repeated(self, lines: list[str]) -> None:
        for version in ("HTTP/1.1", "HTTP/1.0"):
            refuses(head(*lines, version=version), 400)

    @pytest.mark.parametrize("host", ["", "a b", "a,b", "a/b", "u@a", "a:x", "a:65536", "[::1", "a\xe9", "a<b>", "http://a"])
    def test_malformed(self, host: str) -> None:
        for target in ("/", "http://b/"):
            for version in ("HTTP/1.1", "HTTP/1.0"):
                reason = refuses(head(host=host, target=target, version=version), 400)
                assert "<" not in reason, "what the client sends is not repeated"

    def test_is_not_remembered_when_malformed(self) -> None:
        for _ in range(3):
            refuses(head(host="a b"), 400)


class TestConnection:
    @pytest.mark.parametrize(
        ("version", "values", "lives"),
        [
            ("HTTP/1.1", [], True),
            ("HTTP/1.1", ["keep-alive"], True),
            ("HTTP/1.1", ["Keep-Alive"], True),
            ("HTTP/1.1", ["close"], False),
            ("HTTP/1.1", ["CLOSE"], False),
            ("HTTP/1.1", ["keep-alive, close"], False),
            ("HTTP/1.1", ["close, keep-alive"], False),
            ("HTTP/1.1", ["keep-alive", "close"], False),
            ("HTTP/1.1", [" ,\tclose ,"], False),
            ("HTTP/1.1", ["closed"], True),
            ("HTTP/1.1", ["x-close"], True),
            ("HTTP/1.1", ["upgrade"], True),
            ("HTTP/1.1", [""], True),
            ("HTTP/1.0", [], False),
            ("HTTP/1.0", ["close"], False),
            ("HTTP/1.0", ["keep-alive"], True),
            ("HTTP/1.0", ["Keep-Alive"], True),
            ("HTTP/1.0", ["x, keep-alive"], True),
            ("HTTP/1.0", ["x", "keep-alive"], True),
            ("HTTP/1.0", ["keep-alive, close"], False),
            ("HTTP/1.0", ["close, keep-alive"], False),
        ],
    )
    def test_persistence(self, version: str, values: list[str], lives: bool) -> None:
        """RFC 9112 section 9.3. `accepts` looks whether the next request is read."""
        lines = [f"Connection: {value}" for value in values]
        assert accepts(head(*lines, version=version)).keep_alive is lives
        assert accepts(post(b"hello", *lines, version=version)).keep_alive is lives

    @pytest.mark.parametrize("value", ["close", "keep-alive", "upgrade", "x"])
    @pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
    def test_proxy_connection_says_nothing(self, value: str, version: str) -> None:
        assert accepts(head(f"Proxy-Connection: {value}", version=version)).keep_alive is (version == "HTTP/1.1")

    def test_nothing_is_read_after_the_last_request(self) -> None:
        for rest in (AFTER, b"\0" * 100_000, b"GET"):
            outcome = read([head("Connection: close"), rest])
            assert ([seen.keep_alive for seen in outcome.requests], outcome.status, outcome.parser.finished) == ([False], None, True)

    def test_server_without_persistence(self) -> None:
        outcome = read([head() + head()], persistent=False)
        assert ([seen.keep_alive for seen in outcome.requests], outcome.parser.finished) == ([False], True)


class TestUpgrade:
    """RFC 9110 section 7.8: an offer to upgrade is ignored, and takes nothing away from what follows."""

    LINES = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")

    @pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
    def test_without_content(self, version: str) -> None:
        seen = accepts(head(*self.LINES, version=version))
        assert (seen.body, seen.fields["HTTP_UPGRADE"]) == (None, "h2c")

    def test_with_content(self) -> None:
        """The content is content: a request in it is not served."""
        for body in (b"hello", b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"):
            assert accepts(post(body, *self.LINES)).body == body
            assert accepts(post(body, *self.LINES, "Connection: close")).body == body
            assert accepts(chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body), *self.LINES)).body == body

    def test_wrong_content(self) -> None:
        refuses(chunked(b"x\r\n", *self.LINES), 400)
        refuses(post(b"x" * 100, *self.LINES), 413, max_body=99)

    def test_many_in_one_read(self) -> None:
        for data in (head(*self.LINES), post(b"x", *self.LINES)):
            assert len(read([data * 5000]).requests) == 5000


class TestNames:
    def test_are_remembered(self) -> None:
        read([head("X-Remember-Me: 1")])
        assert http1.RequestParser._names[b"X-Remember-Me"] == "HTTP_X_REMEMBER_ME"

    def test_with_a_rule_are_not(self) -> None:
        """Or the rule would hold once."""
        for _ in range(2):
            seen = read([post(b"", "X_A: 1", "Proxy: 1", "Expect: 100-continue", "X-Forwarded-For: a")]).one
            assert seen.fields.keys() == {"HTTP_HOST", "HTTP_EXPECT", "CONTENT_LENGTH"}

    def test_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        names: dict[bytes, str] = {}
        monkeypatch.setattr(http1.RequestParser, "_names", names)
        for start in range(0, TABLE_SIZE + 500, 100):
            assert len(read([head(*(f"X-{number}: 1" for number in range(start, start + 100)))]).one.fields) == 101
        assert len(names) == TABLE_SIZE
        names.clear()
        long = "X" * 10_000
        assert read([head(f"{long}: 1")]).one.fields[f"HTTP_{long}"] == "1"
        assert not any(len(name) > 100 for name in names)

    def test_of_the_base_do_not_count(self) -> None:
        base = {f"wsgi.{number}": number for number in range(500)}
        lines = [f"X-{number}: 1" for number in range(MAX_FIELDS - 1)]
        assert len(read([head(*lines)], base=base).one.fields) == MAX_FIELDS + 500
        assert read([head(*lines, "Y: 1")], base=base).status == 431
