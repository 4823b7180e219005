"""``--status`` over HTTP: where it listens, who may have what, and that it costs nothing where it is not wanted."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import certificates
from harness import APPS, Site
from nightly import TOKEN, night, page_of

BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Page:
    """A live page, to be asked."""

    def __init__(self, site: Site) -> None:
        host, _, port = page_of(site).partition("://")[2].rpartition(":")
        self.host, self.port = host, int(port)

    def ask(self, method: str, path: str, body: bytes | None = None, **fields: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        with closing(http.client.HTTPConnection(self.host, self.port, timeout=30)) as connection:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in fields.items()})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def events(self, count: int, **fields: str) -> Iterator[tuple[str, Any]]:
        """The first events of the stream."""
        with closing(http.client.HTTPConnection(self.host, self.port, timeout=30)) as connection:
            connection.request("GET", "/events", headers=fields)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            for _ in range(count):
                event, data, empty = answer.readline(), answer.readline(), answer.readline()
                assert empty == b"\n"
                yield event.decode()[7:-1], json.loads(data[6:])


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with night("--workers=1") as site:
        yield site


@pytest.fixture(scope="module")
def page(site: Site) -> Page:
    return Page(site)


def test_each_answer_keeps_the_page_to_itself(page: Page) -> None:
    for path in ("/", "/page.js", "/page.css", "/tree.json", "/health", "/nothing", "/do/reload"):
        _, fields, _ = page.ask("GET", path)
        assert fields["Cache-Control"] == "no-store" and fields["X-Frame-Options"] == "DENY", path
        policy = fields["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert fields["Server"] == "hendrix" and fields["X-Content-Type-Options"] == "nosniff"


def test_all_that_the_page_loads_is_there(page: Page) -> None:
    status, _, body = page.ask("GET", "/")
    assert status == 200 and b"<script>" not in body and b"style=" not in body and b"http" not in body.replace(b"hendrix", b"")
    scripts = [(f"/{name}.js", "text/javascript") for name in ("page", "panels", "plot", "stream", "dom")]
    for path, kind in (("/page.css", "text/css"), ("/icon.svg", "image/svg+xml"), *scripts):
        status, fields, body = page.ask("GET", path)
        assert status == 200 and fields["Content-Type"].startswith(kind) and body, path


def test_who_may_look(page: Page) -> None:
    assert page.ask("GET", "/tree.json")[0] == 200
    for fields in ({"Host": "evil.example"}, {"X_Forwarded_For": "1.2.3.4"}, {"Sec_Fetch_Site": "cross-site"}):
        for path in ("/tree.json", "/events"):
            status, answer, _ = page.ask("GET", path, **fields)
            assert status == 401 and answer["WWW-Authenticate"].startswith("Bearer")
    assert page.ask("GET", "/tree.json", Host="evil.example", **BEARER)[0] == 200
    assert page.ask("GET", "/", Host="evil.example")[0] == 200  # the page alone says nothing


@pytest.mark.parametrize("path", ["/do/reload", "/do/recycle", "/do/workers", "/do/stop"])
def test_nobody_acts_without_the_token(site: Site, page: Page, path: str) -> None:
    for fields in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": f"token={TOKEN}"}, {**BEARER, "Sec_Fetch_Site": "cross-site"}):
        status, _, _ = page.ask("POST", path, b"{}", **fields)
        assert status == 401, fields
    assert page.ask("GET", path, **BEARER)[0] == 405
    assert "from the live page" not in site.log


def test_with_the_token_the_commands_are_given(site: Site, page: Page) -> None:
    assert page.ask("POST", "/do/workers", b'{"to": "+1"}', **BEARER)[::2] == (200, b"2")
    assert page.ask("POST", "/do/workers", b'{"to": "-1"}', **BEARER)[::2] == (200, b"1")
    status, _, words = page.ask("POST", "/do/recycle", b'{"worker": "worker 7"}', **BEARER)
    assert status == 400 and b"give one of worker 1" in words
    assert page.ask("POST", "/do/recycle", b'{"worker": "worker 1"}', **BEARER)[::2] == (200, b'"worker 1 is a new process"')
    assert page.ask("POST", "/do/reload", b"[]", **BEARER)[0] == 400
    assert page.ask("POST", "/do/publish", b"{}", **BEARER)[0] == 404
    assert page.ask("POST", "/do/reload", **BEARER)[0] == 200
    site.wait_for_log("reload {} from the live page")


def test_a_request_that_is_too_large_is_cut(page: Page) -> None:
    with pytest.raises((http.client.HTTPException, OSError)):
        page.ask("POST", "/do/reload", b"x" * 100_000, **BEARER)
    assert page.ask("GET", "/health")[::2] == (200, b"ready\n")


def test_the_stream_begins_with_the_whole_and_goes_on_with_news(site: Site, page: Page) -> None:
    site.get("/")
    (hello, may), (name, whole), *news = page.events(4)
    assert (hello, may) == ("hello", {"may_act": False}) and name == "whole"
    assert whole["about"]["pid"] == site.pid and whole["about"]["app"] == "night:app"
    assert {name for name, _ in news} == {"news"} and all("about" not in data for _, data in news)
    assert [data["tree"]["name"] for _, data in news] == ["hendrix", "hendrix"]
    ((_, may),) = page.events(1, **BEARER)
    assert may == {"may_act": True}


def test_who_looks_is_no_subscriber_of_the_site(site: Site, page: Page) -> None:
    """Nor can a view that lets its clients subscribe to everything show them what is for the page."""
    with site.connect() as client:
        client.sendall(b"GET /listen/$status HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
        *_, (_, news) = page.events(5)
        hub = next(node for node in news["tree"]["children"] if node["name"] == "hub")
        assert hub["numbers"]["published"] == 0
        client.setblocking(False)
        assert b"$status" not in client.recv(65536)


def test_not_too_many_look(page: Page) -> None:
    looking = []
    try:
        for _ in range(40):
            connection = http.client.HTTPConnection(page.host, page.port, timeout=30)
            looking.append(connection)
            connection.request("GET", "/events")
        assert {connection.getresponse().status for connection in looking} == {200, 503}
    finally:
        for connection in looking:
            connection.close()


def test_a_client_that_does_not_read_costs_nothing(site: Site, page: Page) -> None:
    """It is shown the whole picture when it reads again, and what it missed is not kept for it."""
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(60)
        slow.connect((page.host, page.port))
        slow.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        before = site.memory
        list(page.events(8))
        assert site.memory < before + (16 << 20)
        assert slow.recv(65536).startswith(b"HTTP/1.1 200")


def test_other_machines_need_a_token() -> None:
    code, log = Site("night:app", "--status=tcp:0:interface=0.0.0.0").run()
    assert code == 1 and "other machines reach this; give HENDRIX_STATUS_TOKEN" in log
    with Site("night:app", "--status=tcp:0:interface=0.0.0.0", env={"HENDRIX_STATUS_TOKEN": TOKEN}) as site:
        page = Page(site)
        page.host = "127.0.0.1"
        assert page.ask("GET", "/tree.json")[0] == page.ask("GET", "/events")[0] == 401
        assert page.ask("GET", "/tree.json", **BEARER)[0] == 200


def test_a_unix_socket_is_its_users_and_closes_with_the_site(tmp_path: Path) -> None:
    path = tmp_path / "status"
    with Site("night:app", f"--status=unix:{path}"):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        with closing(http.client.HTTPConnection("localhost")) as client:
            client.sock = socket.socket(socket.AF_UNIX)
            client.sock.settimeout(30)
            client.sock.connect(str(path))
            client.request("GET", "/tree.json")
            assert client.getresponse().status == 200
    assert not path.exists()


def test_over_tls_with_a_certificate_that_is_renewed(tmp_path: Path) -> None:
    def served(page: Page) -> bytes:
        context = ssl.create_default_context(cafile=made.authority)
        with closing(http.client.HTTPSConnection("127.0.0.1", page.port, timeout=30, context=context)) as client:
            client.request("GET", "/tree.json")
            certificate: bytes = client.sock.getpeercert(True)
            assert client.getresponse().status == 200
            return certificate

    made = certificates.make(tmp_path)
    with Site("night:app", f"--status=ssl:0:privateKey={made.key}:certKey={made.cert}", "--workers=1") as site:
        page = Page(site)
        assert page_of(site).startswith("https://127.0.0.1:")
        before = served(page)
        made = certificates.make(tmp_path)
        os.kill(site.pid, signal.SIGHUP)
        site.wait_for_log("reloaded: 1 workers")
        assert served(page) != before


def test_a_place_that_cannot_be_is_found_by_hx_check() -> None:
    command = [str(Path(sys.executable).with_name("hx")), "check", "--wsgi=night:app", "--status=ssl:0:privateKey=no.pem:certKey=no.pem"]
    done = subprocess.run(command, cwd=APPS, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "no.pem: No such file or directory" in done.stderr and "Traceback" not in done.stderr, done


def test_a_place_that_is_taken_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, log = Site("night:app", f"--status={port}").run()
    assert code == 1 and "Traceback" not in log
    assert f"--status=tcp:{port}:interface=127.0.0.1: Address already in use; stop what listens there, or choose another port" in log


def test_stopping_ends_streams_and_answers() -> None:
    with night() as site:
        page = Page(site)
        stream = page.events(10**6)
        next(stream)
        assert page.ask("POST", "/do/stop", **BEARER)[0] == 200
        with pytest.raises((AssertionError, OSError, http.client.HTTPException, ValueError)):
            for _ in stream:
                pass
        site.wait()


def test_without_status_nothing_of_it_is_there() -> None:
    script = (
        "import sys; from hendrix.service import makeService; tree = makeService({'wsgi': lambda e, s: []});"
        "names = [node.name for node in tree]; assert 'status' not in names and 'reports' not in names, names;"
        "assert 'twisted.web.server' not in sys.modules and 'hendrix.status.view' not in sys.modules;"
        "web = tree.getServiceNamed('web'); assert web._access is None and web._measure is None"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_what_is_shown_is_what_was_asked() -> None:
    """All processes together, and each answer once."""
    with night("--workers=2") as site:
        page = Page(site)
        for number in range(40):
            site.get("/missing" if number % 8 == 0 else "/broken" if number % 10 == 0 else "/")
        deadline = time.monotonic() + 30
        whole: Any = {}
        while sum(row["requests"] for row in whole.get("rows", ())) != 40:
            assert time.monotonic() < deadline, whole
            _, (_, whole) = page.events(2)
        assert (whole["requests"], whole["errors"], whole["minute"]["refused"]) == (40, 3, 5)
        assert {failure["name"] for failure in whole["failures"]} == {"GET /broken"} and len(whole["failures"]) == 3
        assert "KeyError: 'price'" in whole["failures"][0]["traceback"]
        assert len(whole["processes"]) == 3 and all(process["rss"] > 1 << 20 for process in whole["processes"])
