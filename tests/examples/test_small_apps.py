"""The small examples, one for each framework, all of which promise the same; and the two other ways to launch one of them."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import shutil
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import DEADLINE, Browser, Page, opened, read_until

from harness import Site

APPS = ["bare_wsgi.application", "bottle_app.app", "flask_app.app", "pyramid_app.app"]
LARGE = bytes(range(256)) * 12 * 1024  # 3 MiB: over what is kept in memory of a request


@pytest.fixture(scope="module", params=APPS)
def app(request: pytest.FixtureRequest) -> str:
    """What is served."""
    return str(request.param)


@pytest.fixture(scope="module", params=["plain", "tls"])
def site(app: str, request: pytest.FixtureRequest, examples: Path, tls_endpoint: str) -> Iterator[Site]:
    """One process for all tests of an app: its workers write to a plain socket themselves, the reactor writes to any other."""
    with Site(app, cwd=examples, listen=[tls_endpoint if request.param == "tls" else "tcp:0:interface=127.0.0.1"]) as site:
        yield site


@pytest.fixture
def browser(site: Site) -> Browser:
    """A new visitor."""
    return Browser(site.url)


@contextlib.contextmanager
def listening(site: Site) -> Iterator[http.client.HTTPResponse]:
    """Ask for the answer that waits for the bell, and read its first piece."""
    with opened(site.connect(timeout=DEADLINE), "/stream") as response:
        assert response.headers.get_content_type() == "text/plain"
        assert read_until(response, b"\n") == b"Listening.\n"
        yield response


def ring(browser: Browser) -> Page:
    """Press the button; only Pyramid's form has a field, the token."""
    home = browser.get("/")
    token = home.form("csrf_token").fields if "csrf_token" in home.text else {}
    return browser.post("/ring", **token)


def test_a_cookie_counts_the_visits_of_each_visitor(browser: Browser) -> None:
    for visit in (1, 2, 3):
        assert f"Hello stranger, this is visit {visit}." in browser.get("/").text
    assert "this is visit 1." in Browser(browser.site).get("/").text
    assert {cookie.has_nonstandard_attr("HttpOnly") for cookie in browser.cookies} == {True}


def test_a_form_takes_a_name_and_the_page_greets_it_escaped(browser: Browser) -> None:
    greeting = browser.submit(browser.get("/"), name="Zoë & <b>")
    assert (greeting.status, greeting.url) == (200, f"{browser.site}/")
    assert "Hello Zoë &amp; &lt;b&gt;, this is visit 2." in greeting.text


@pytest.mark.parametrize("content", [b"a small file\r\n", LARGE], ids=["small", "large"])
def test_an_upload_gets_a_receipt(browser: Browser, app: str, content: bytes) -> None:
    if app == "bare_wsgi.application":
        answer = browser.send("PUT", "/upload/notes.txt", content, "text/plain")
    else:
        answer = browser.upload(browser.get("/"), "file", "notes.txt", content)
    assert answer.text == f"notes.txt: {len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}\n"


def test_the_first_piece_of_a_stream_comes_before_the_last_is_made(site: Site, browser: Browser) -> None:
    with listening(site) as first, listening(site) as second:
        assert ring(browser).status == 204
        assert [first.read(), second.read()] == [b"Ding!\n", b"Ding!\n"]


def test_what_is_not_there_is_not_found(browser: Browser) -> None:
    assert browser.get("/nowhere").status == 404


def test_curl_uploads_and_listens(examples: Path, tmp_path: Path) -> None:
    """With the two commands that the example and its README show; the upload waits for ``100 Continue``."""
    curl = shutil.which("curl")
    assert curl, "these tests need curl"
    (tmp_path / "large.bin").write_bytes(LARGE)
    with Site("bare_wsgi.application", cwd=examples) as site:
        upload = [curl, "--silent", "--show-error", "--header", "Expect: 100-continue", "-T", "large.bin", f"{site.url}/upload/"]
        receipt = subprocess.run(upload, cwd=tmp_path, check=True, timeout=DEADLINE, capture_output=True, text=True)
        assert receipt.stdout == f"large.bin: {len(LARGE)} bytes, SHA-256 {hashlib.sha256(LARGE).hexdigest()}\n"
        with subprocess.Popen([curl, "--silent", "-N", f"{site.url}/stream"], stdout=subprocess.PIPE) as listener:
            assert listener.stdout is not None
            assert listener.stdout.readline() == b"Listening.\n"
            subprocess.run([curl, "--silent", "-X", "POST", f"{site.url}/ring"], check=True, timeout=DEADLINE)
            assert listener.stdout.read() == b"Ding!\n"
        assert listener.returncode == 0


@contextlib.contextmanager
def launched(examples: Path, *command: str, **environment: str) -> Iterator[Site]:
    """A process that an example starts by itself, listening on a port of the kernel's choice."""
    site = Site(None, cwd=examples, env={"WEB": "tcp:0:interface=127.0.0.1", **environment})
    site.command = list(command)
    site.env["PORT_FILE"] = str(site.port_file)
    with site:
        yield site


def test_in_the_tac_a_twisted_service_rings_the_bell_of_the_site(examples: Path, tmp_path: Path) -> None:
    twistd = f"{sysconfig.get_path('scripts')}/twistd"
    door = tmp_path / "bell"
    with launched(examples, twistd, "--pidfile=", "-ny", "site.tac", BELL=f"unix:{door}") as site:
        with listening(site) as response, socket.socket(socket.AF_UNIX) as visitor:
            visitor.settimeout(DEADLINE)
            visitor.connect(str(door))
            assert visitor.makefile("rb").read() == b"Ding!\r\n"
            assert response.read() == b"Ding!\n"


def test_the_deploy_script_serves(examples: Path) -> None:
    with launched(examples, sys.executable, "deploy.py") as site:
        assert "Hello stranger" in Browser(site.url).get("/").text


def test_the_readme_has_a_row_for_each_example(examples: Path) -> None:
    rows = [line for line in (examples / "README.md").read_text().splitlines() if line.startswith("| [")]
    assert {row.split("](")[1].split(")")[0] for row in rows} == {f"{app.split('.')[0]}.py" for app in APPS} | {
        "celery_bridge",
        "chat",
        "django_site",
        "frames",
        "irc_bridge",
        "manhole",
        "onion",
        "site.tac",
        "deploy.py",
    }
    for app in APPS:
        assert any(row.endswith(f"| `twistd -n hendrix --wsgi={app}` |") for row in rows)
