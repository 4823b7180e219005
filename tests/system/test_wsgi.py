"""PEP 3333 over the wire: in the lane where workers write themselves and in that where the reactor does, with validators looking on."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from certificates import Certificate
from harness import Response, Site

LARGE = bytes(range(256)) * 8192
UPLOAD = bytes(range(256)) * 4096  # 1 MiB: over what is kept in memory of a request
KINDS = ["tcp", "unix", "tls"]


@pytest.fixture(scope="module", params=["plain", "validated", "linted"])
def site(request: pytest.FixtureRequest, certificate: Certificate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One process for each middleware, on three kinds of address."""
    socket_path = tmp_path_factory.mktemp("s") / "http"
    tls = f"ssl:0:interface=127.0.0.1:privateKey={certificate.key}:certKey={certificate.cert}"
    with Site(f"wsgi_site:{request.param}", "--threads=4", listen=["tcp:0:interface=127.0.0.1", f"unix:{socket_path}", tls]) as site:
        yield site
        assert "Traceback" not in site.log, site.log
        assert "without being closed" not in site.log  # the validator's word


@pytest.fixture(scope="module")
def plain(certificate: Certificate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A process for applications that do wrong."""
    directory = tmp_path_factory.mktemp("s")
    tls = f"ssl:0:interface=127.0.0.1:privateKey={certificate.key}:certKey={certificate.cert}"
    listen = ["tcp:0:interface=127.0.0.1", f"unix:{directory / 'http'}", tls]
    with Site("wsgi_site:plain", "--threads=4", f"--access-log={directory / 'access.log'}", listen=listen) as site:
        yield site


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def wait_for(condition: Callable[[], bool]) -> None:
    """Return when it is so."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Client:
    """One connection that stays open. Use it in ``with``."""

    def __init__(self, site: Site, kind: str) -> None:
        self.connection = http.client.HTTPConnection("localhost")
        self.connection.sock = site.connect(KINDS.index(kind))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.connection.close()

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Response:
        sock = self.connection.sock
        self.connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()}, encode_chunked=True)
        assert self.connection.sock is sock, "the connection was opened anew"
        answer = self.connection.getresponse()
        return Response(answer.status, answer.reason, answer.headers, answer.read())

    def get(self, path: str) -> Response:
        return self.send("GET", path)


@pytest.fixture
def client(site: Site, kind: str) -> Iterator[Client]:
    with Client(site, kind) as client:
        yield client


class TestGood:
    """The middlewares find nothing, and the connection lives on: each test sends all its requests on one."""

    @pytest.mark.parametrize("path", ["/stream", "/written"])
    def test_content(self, client: Client, path: str) -> None:
        for _ in range(3):
            answer = client.get(path)
            assert (answer.status, answer.body, answer.headers["Transfer-Encoding"]) == (200, b"hello world", "chunked")

    def test_large(self, client: Client) -> None:
        assert client.get("/large").body == LARGE
        assert client.get("/stream").body == b"hello world"

    def test_status(self, client: Client) -> None:
        nothing = client.get("/nothing")
        assert (nothing.status, nothing.body, nothing.headers["Content-Length"]) == (204, b"", None)
        replaced = client.get("/replaced")
        assert (replaced.status, replaced.body) == (404, b"replaced")

    @pytest.mark.parametrize("path", ["/stream", "/written", "/large", "/file", "/replaced", "/environ", "/nothing"])
    def test_head(self, client: Client, path: str) -> None:
        answer = client.send("HEAD", path)
        assert (answer.status in (200, 204, 404), answer.body) == (True, b"")
        assert client.get("/stream").body == b"hello world"

    @pytest.mark.parametrize(("query", "part"), [("", slice(None)), ("?1000", slice(1000, None)), ("?1000,5000", slice(1000, 6000))])
    def test_file(self, client: Client, site: Site, query: str, part: slice) -> None:
        is_plain = any(word.endswith(":plain") for word in site.command)
        if "," in query and not is_plain:
            pytest.skip("a middleware hides that it is a file, so that nobody knows that a part of it is meant")
        for _ in range(2):
            answer = client.get(f"/file{query}")
            assert (answer.status, answer.body) == (200, LARGE[part])
            assert answer.headers["Content-Length"] == (str(len(LARGE[part])) if is_plain else None)

    @pytest.mark.parametrize("path", ["/echo", "/terminated"])
    @pytest.mark.parametrize("body", [b"", b"hello", b"\r\n" * 1000, UPLOAD], ids=len)
    def test_upload(self, client: Client, path: str, body: bytes) -> None:
        for method in ("POST", "PUT"):
            answer = client.send(method, path, body)
            assert (answer.status, answer.body) == (200, body)

    @pytest.mark.parametrize("path", ["/echo", "/terminated"])
    @pytest.mark.parametrize("pieces", [[], [b"hello"], [b"hel", b"lo"], [UPLOAD, b"x", UPLOAD]], ids=len)
    def test_chunked_upload(self, client: Client, path: str, pieces: list[bytes]) -> None:
        answer = client.send("POST", path, iter(pieces))
        assert (answer.status, answer.body) == (200, b"".join(pieces))
        assert answer.headers["X-Length"] in (None, str(len(answer.body)))

    @pytest.mark.parametrize("more", [b"", UPLOAD])
    def test_methods_of_the_input(self, client: Client, more: bytes) -> None:
        answer = client.send("POST", "/lines", b"one\ntwo\nthree\nfour\nfive\n" + more)
        assert answer.status == 200
        read = json.loads(answer.body)
        assert read[:6] == ["one\n", "two", "\n", "three\n", "four\n", "five\n"]
        assert "".join(read[6:]).encode("latin-1") == more

    def test_environ(self, client: Client, site: Site, kind: str) -> None:
        answer = json.loads(client.send("GET", "/environ?a=%20b", X_Name="caf\xe9", X_Forwarded_For="1.2.3.4", Proxy="evil").body)
        expected = {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": "/environ",
            "QUERY_STRING": "a=%20b",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_X_NAME": "caf\xe9",
            "wsgi.url_scheme": "https" if kind == "tls" else "http",
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "REMOTE_ADDR": "" if kind == "unix" else "127.0.0.1",
        }
        assert expected.items() <= answer.items()
        assert not {"HTTP_PROXY", "HTTP_X_FORWARDED_FOR", "CONTENT_LENGTH"} & answer.keys()
        if kind != "unix":
            assert answer["SERVER_PORT"] == str(site.ports[["tcp", "tls"].index(kind)])
            assert answer["REMOTE_PORT"] == str(client.connection.sock.getsockname()[1])

    def test_errors(self, client: Client, site: Site) -> None:
        client.get("/errors")
        for text in ("said in pieces\n", "one line\n", "no end\n"):
            site.wait_for_log(text)


class TestBad:
    """What an application does wrong is told from what is complete, and harms no other request."""

    @pytest.fixture
    def client(self, plain: Site, kind: str) -> Iterator[Client]:
        with Client(plain, kind) as client:
            yield client

    @pytest.fixture
    def others(self, plain: Site, kind: str) -> Iterator[None]:
        """Others are served before and after."""
        yield
        with Client(plain, kind) as other:
            for _ in range(10):
                assert other.get("/stream").body == b"hello world"

    @pytest.mark.parametrize("path", ["/raises", "/raises?exit", "/raises?interrupt", "/text", "/text?iterated", "/nowhere"])
    def test_clean_500(self, client: Client, plain: Site, path: str, others: None) -> None:
        """Also for a SystemExit, and for text where bytes belong; the connection lives on."""
        for method in ("GET", "POST"):
            answer = client.send(method, path)
            assert (answer.status, answer.body) == (500, b"500 Internal Server Error\n")
        assert client.get("/stream").body == b"hello world"
        plain.wait_for_log(f"GET {path} raised")

    @pytest.mark.parametrize("path", ["/breaks", "/text_later", "/short"])
    def test_broken_connection(self, client: Client, plain: Site, path: str, others: None) -> None:
        with pytest.raises((http.client.IncompleteRead, ConnectionError, http.client.BadStatusLine)):
            client.get(path)
        plain.wait_for_log(f"GET {path} raised")

    def test_too_long(self, client: Client, plain: Site, others: None) -> None:
        for _ in range(2):
            assert client.get("/long").body == b"hello"
        plain.wait_for_log("longer than its Content-Length of 5")

    def test_the_client_does_not_wait_for_work_after_the_last_byte(self, client: Client, plain: Site, tmp_path: Path, others: None) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        holder = os.open(pipe, os.O_RDWR)  # nobody who opens it waits, or reads its end
        try:
            before = plain.log.count("worked on")
            assert client.get(f"/works_on?{pipe}").body == b"hello"
            assert client.get("/stream").body == b"hello world"
            assert plain.log.count("worked on") == before
        finally:
            os.close(holder)
        wait_for(lambda: plain.log.count("worked on") > before)

    def test_client_that_leaves(self, plain: Site, kind: str, others: None) -> None:
        """The application is closed, as it would be at its end."""
        before = plain.log.count("closed by")
        sock = plain.connect(KINDS.index(kind))
        sock.sendall(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
        assert sock.recv(100)
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()
        wait_for(lambda: plain.log.count("closed by") > before)

    def test_an_environ_is_the_application_s_own(self, client: Client, plain: Site, others: None) -> None:
        for _ in range(3):
            assert client.get("/changes").body == b"cleared"
        [access_log] = (Path(word.partition("=")[2]) for word in plain.command if word.startswith("--access-log="))
        wait_for(lambda: access_log.read_text().count("GET /changes") >= 3)
        assert "bug in hendrix" not in plain.log
