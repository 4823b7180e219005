"""The page about crosstown traffic: each of its blocks runs, and does what the page says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pages import page
from typed import Typed, write_files

from hendrix.crosstown.gate import parse
from hendrix.crosstown.task import CANCELLED, DONE, FAILED, NO_GO, RUNNING, WAITING

PAGE = page("crosstown_traffic.md")

DJANGO = """
import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="x", ALLOWED_HOSTS=["*"])
import views
class Sent(list):
    def append(self, line):
        super().append(line)
        if len(self) == 3:
            print(f"sent: {self}", flush=True)
views.sent = Sent()
urlpatterns = [path("order", views.order)]
application = get_wsgi_application()
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    write_files(PAGE, tmp_path)
    return tmp_path


def test_each_block_is_a_file_that_a_test_runs() -> None:
    assert {block.name for block in PAGE.of("python")} == {"views.py", "raw.py", "errors.py", "shell.py", "parallel.py", "primes.py"}


def test_the_django_view(files: Path) -> None:
    (files / "site_.py").write_text(DJANGO)
    with Typed(["hx", "--wsgi=site_.application"], files) as site:
        assert site.get("/order").text == "on our way\n"
        site.wait_for_log("sent: ")
        line = next(line for line in site.log.splitlines() if "sent: " in line)
        assert "'called 555-0142'" in line and "'called 555-0143'" in line and "'billed'" in line


def test_the_raw_form(files: Path) -> None:
    with Typed(["hx", "--wsgi=raw.application"], files) as site:
        assert site.get("/").text == "Hello\n"
        site.wait_for_log("the response is out")


def test_gather(files: Path) -> None:
    with Typed(["hx", "--wsgi=parallel.application"], files) as site:
        assert site.get("/").text == "mail is fine\nbank is fine\nweather is fine\n"


def test_processes(files: Path) -> None:
    with Typed(["hx", "--wsgi=primes.application", "--crosstown-processes=2"], files) as site:
        assert site.get("/").text == "counting\n"
        site.stop()
        assert "168 primes below 1000" in site.log, "printed by the worker process"


def test_outside_a_response(files: Path) -> None:
    subprocess.run([sys.executable, "shell.py"], cwd=files, check=True)


def test_on_error(files: Path) -> None:
    program = "import errors\nfrom hendrix import crosstown_traffic as traffic\n"
    program += "traffic(name='sum')(lambda: 1 / 0)\nassert errors.failures == ['sum: division by zero'], errors.failures\n"
    done = subprocess.run([sys.executable, "-c", program], cwd=files, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_grammar_of_the_gate() -> None:
    meaning = {'`404`, `"404"`': {404}, '`"5xx"`': set(range(500, 600)), '`"400-405"`': set(range(400, 406))}
    for cell, codes in {**meaning, "`range(400, 406)`": set(range(400, 406))}.items():
        assert f"| {cell} |" in PAGE.text
        for code in cell.replace("`", "").split(", ") if cell.startswith("`404`") else [cell.strip("`")]:
            assert parse(eval(code)) == codes


def test_the_states_are_all_named() -> None:
    row = next(line for line in PAGE.text.splitlines() if "`task.state`" in line)
    assert [f"`{state}`" for state in (WAITING, RUNNING, DONE, FAILED, CANCELLED, NO_GO)] == row.split("|")[2].strip().split(", ")
