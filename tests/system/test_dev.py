"""hx --dev, manage.py hx and manage.py runserver: what is saved is served, what is wrong is shown, and no client is refused.

The first test saves DEV_SAVES times in a row: few times in ``make test``, 50 times in ``make saves``.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import Response, Site

EXAMPLE = Path(__file__).parents[2] / "examples/django_site"
SAVES = int(os.environ.get("DEV_SAVES", "3"))
DEADLINE = 60.0
BROWSER = {"Accept": "text/html,*/*"}

VIEW = """

def probe(request: HttpRequest) -> HttpResponse:
    if "crash" in request.GET:
        raise ZeroDivisionError("a view that raises")
    return HttpResponse("probe 0")
"""
BARE = """
import os, time
saved = "0"
def app(environ, start_response):
    if environ["PATH_INFO"] == "/crash":
        raise ZeroDivisionError("an <application> that raises")
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/late":
        def pieces():
            raise KeyError("before the first piece")
            yield b""
        return pieces()
    return [f"{saved} {os.getpid()}".encode()]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the example site, with a view for these tests."""
    there = tmp_path / "site"
    shutil.copytree(EXAMPLE, there, ignore=shutil.ignore_patterns("*.sqlite3*", "*.key", "__pycache__"))
    edit(there / "guestbook/views.py", "\\Z", VIEW)
    edit(there / "guestbook/urls.py", r"urlpatterns = \[", 'urlpatterns = [\n    path("probe/", views.probe),')
    return there


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    (tmp_path / "bare.py").write_text(BARE)
    return tmp_path


def edit(file: Path, pattern: str, new: str) -> None:
    """As an editor that writes a new file and gives it the name of the old one."""
    text, count = re.subn(pattern, lambda _: new, file.read_text(), count=1)
    assert count == 1, f"{pattern} is not in {file}"
    beside = file.with_name(f"{file.name}~")
    beside.write_text(text)
    beside.replace(file)


def until(site: Site, path: str, good: Callable[[Response], bool], headers: dict[str, str] | None = None) -> Response:
    """Ask again and again. Each connection must be accepted, and each request answered."""
    deadline = time.monotonic() + DEADLINE
    while True:
        response = site.get(path, headers, timeout=DEADLINE)
        if good(response):
            return response
        if time.monotonic() > deadline:
            raise AssertionError(f"{path} still answers {response.status} {response.text[:2000]}")
        time.sleep(0.02)


def says(text: str) -> Callable[[Response], bool]:
    return lambda response: text in response.text


def test_each_save_of_a_django_project_is_served_and_no_connection_refused(project: Path) -> None:
    with Site(None, "--dev", door="hx", cwd=project) as site:
        assert site.get("/probe/").text == "probe 0"
        seconds = []
        for number in range(1, SAVES + 1):
            edit(project / "guestbook/views.py", r"probe \d+", f"probe {number}")
            saved = time.monotonic()
            until(site, "/probe/", says(f"probe {number}"))
            seconds.append(time.monotonic() - saved)
        slowest, middle = max(seconds), sorted(seconds)[SAVES // 2]
        print(f"{SAVES} saves: until the new answer {middle:.2f} s at the median, {slowest:.2f} s at most")


def test_what_runserver_shows_of_a_django_project(project: Path) -> None:
    with Site("mysite.wsgi.application", "--dev", cwd=project) as site:
        assert site.get("/static/guestbook/site.css").headers["Content-Type"] == "text/css"
        crash = site.get("/probe/?crash", BROWSER)
        assert crash.status == 500
        assert "a view that raises" in crash.text
        assert "Request Method" in crash.text, "the page is Django's"
        # A template is read anew by the worker that runs.
        worker = site.children
        login = project / "guestbook/templates/guestbook/login.html"
        assert "newly saved" not in site.get("/login/").text
        edit(login, "</h1>", "newly saved</h1>")
        until(site, "/login/", says("newly saved"))
        assert site.children == worker
        # An error in what the first request imports is Django's to show, one in what is imported before is ours.
        edit(project / "guestbook/views.py", "def probe", "def def probe")
        until(site, "/probe/", says("SyntaxError"), BROWSER)
        edit(project / "guestbook/views.py", "def def probe", "def probe")
        until(site, "/probe/", says("probe 0"))
        edit(project / "mysite/settings.py", "DEBUG =", "DEBUG = = ")
        page = until(site, "/probe/", says("cannot be imported"), BROWSER)
        assert (page.status, page.headers["Content-Type"]) == (500, "text/html; charset=utf-8")
        assert "settings.py" in page.text and "SyntaxError" in page.text
        site.wait_for_log("the next save tries again")
        edit(project / "mysite/settings.py", "DEBUG = = ", "DEBUG =")
        until(site, "/probe/", says("probe 0"))


def test_debug_is_left_as_it_is(project: Path) -> None:
    with Site("mysite.wsgi.application", "--dev", cwd=project, env={"SITE_DEBUG": "0", "SITE_SECRET_KEY": "x" * 50}) as site:
        assert site.get("/static/guestbook/site.css").status == 404
        crash = site.get("/probe/?crash", BROWSER)
        assert (crash.status, "a view that raises" in crash.text) == (500, False)


def test_what_a_bare_application_raises_is_a_page(bare: Path) -> None:
    with Site("bare:app", "--dev", cwd=bare) as site:
        page = site.get("/crash", BROWSER)
        assert (page.status, page.headers["Content-Type"]) == (500, "text/html; charset=utf-8")
        assert "an &lt;application&gt; that raises" in page.text and "bare.py" in page.text
        plain = site.get("/crash")
        assert (plain.status, plain.headers["Content-Type"]) == (500, "text/plain; charset=utf-8")
        assert plain.text.startswith("Traceback") and plain.text.endswith("ZeroDivisionError: an <application> that raises\n")
        assert "KeyError: 'before the first piece'" in site.get("/late").text
        site.wait_for_log(" 500 GET /crash (")
        site.wait_for_log("ZeroDivisionError")
        assert "\x1b" not in site.log, "it is not a terminal"
    with Site("bare:app", cwd=bare) as site:
        assert "Traceback" not in site.get("/crash", BROWSER).text


def test_a_kept_connection_has_no_old_answer(bare: Path) -> None:
    with Site("bare:app", "--dev", "--grace=300", cwd=bare) as site:
        kept = http.client.HTTPConnection("localhost")
        kept.sock = site.connect(timeout=DEADLINE)
        kept.request("GET", "/")
        assert kept.getresponse().read().startswith(b"0 ")
        edit(bare / "bare.py", 'saved = "0"', 'saved = "1"')
        assert kept.sock.recv(1) == b"", "it is closed"


def test_a_broken_start_is_shown_and_waits_for_the_save_that_mends_it(bare: Path) -> None:
    edit(bare / "bare.py", 'saved = "0"', "import no_such_module")
    with Site("bare:app", "--dev", cwd=bare) as site:
        assert "No module named 'no_such_module'" in site.get("/").text
        edit(bare / "bare.py", "import no_such_module", 'saved = "1"')
        until(site, "/", says("1 "))


def test_a_save_takes_the_place_of_one_that_never_comes_up(bare: Path) -> None:
    with Site("bare:app", "--dev", cwd=bare) as site:
        edit(bare / "bare.py", 'saved = "0"', 'open("hanging", "w").close()\ntime.sleep(3600)')
        deadline = time.monotonic() + DEADLINE
        while not (bare / "hanging").exists():
            assert time.monotonic() < deadline, site.log
            time.sleep(0.01)
        edit(bare / "bare.py", r"open.*\n.*3600\)", 'saved = "1"')
        until(site, "/", says("1 "))
        assert "the next save" not in site.log


def test_without_reload_it_is_the_same_but_for_that(bare: Path) -> None:
    with Site("bare:app", "--dev", "--no-reload", cwd=bare, env=without_watchfiles(bare)) as site:
        assert "Traceback" in site.get("/crash").text
        edit(bare / "bare.py", 'saved = "0"', 'saved = "1"')
        assert site.get("/").text.startswith("0 ")


def test_mistakes_cost_one_line(bare: Path) -> None:
    for words, line in (
        (["bare:app", "--dev", "--workers=2"], "--workers=2: with --dev there is one worker; give 1, or nothing"),
        (["bare:ap", "--dev"], "--wsgi=bare:ap: module bare has no attribute 'ap'; did you mean app?"),
    ):
        code, said = Site(*words, door="hx", cwd=bare).run()
        assert (code, said.strip().endswith(f"hendrix: error: {line}")) == (1, True), said
    code, said = Site("bare:app", "--dev", door="hx", cwd=bare, env=without_watchfiles(bare)).run()
    assert code == 1
    assert "watchfiles, which is not installed; pip install 'hendrix[dev-server]'" in said.splitlines()[-1]


def without_watchfiles(directory: Path) -> dict[str, str]:
    """The environment of a process that has none."""
    missing = directory / "missing"
    missing.mkdir(exist_ok=True)
    (missing / "watchfiles.py").write_text("raise ImportError\n")
    return {"PYTHONPATH": str(missing)}


@pytest.fixture(params=[["hx"], ["runserver", "127.0.0.1:0"], ["runserver", "localhost:0", "--noreload", "--nothreading"]], ids=" ".join)
def managed(request: pytest.FixtureRequest, project: Path) -> Iterator[tuple[Site, list[str]]]:
    site = Site(None, cwd=project, listen=[])
    site.command = [sys.executable, "manage.py", *request.param]
    site.env |= {"HENDRIX_PORT_FILE": str(site.port_file), "HENDRIX_LISTEN": "tcp:0:interface=127.0.0.1"}
    with site:
        yield site, request.param


def test_manage_py(managed: tuple[Site, list[str]], project: Path) -> None:
    site, words = managed
    assert site.get("/probe/").headers["Server"] == "hendrix"
    assert site.get("/static/guestbook/site.css").status == 200
    edit(project / "guestbook/views.py", "probe 0", "probe 1")
    if "--noreload" in words:
        assert site.get("/probe/").text == "probe 0"
    else:
        until(site, "/probe/", says("probe 1"))


def test_runserver_is_that_of_the_app_that_stands_first(project: Path) -> None:
    words = [sys.executable, "manage.py", "help", "runserver"]
    assert "by hendrix" in subprocess.run(words, cwd=project, capture_output=True, text=True).stdout
    settings = project / "mysite/settings.py"
    edit(settings, '    "hendrix.django",\n', "")
    edit(settings, '    "django.contrib.staticfiles",\n', '    "django.contrib.staticfiles",\n    "hendrix.django",\n')
    said = subprocess.run(words, cwd=project, capture_output=True, text=True).stdout
    assert "--nostatic" in said and "by hendrix" not in said
