"""A Django project behind the real server: connections are given back, ATOMIC_REQUESTS and after_commit keep their promises."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import Site

HERE = Path(__file__).parents[1] / "django"  # the project "ledger"
DEADLINE = 30.0


@pytest.fixture(params=["", "1"], ids=["autocommit", "atomic requests"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    env = {"LEDGER_DATABASE": str(tmp_path / "ledger.sqlite3"), "LEDGER_ATOMIC": request.param, "DJANGO_SETTINGS_MODULE": "ledger.settings"}
    migrate = [sys.executable, "-m", "django", "migrate", "--verbosity=0"]
    subprocess.run(migrate, cwd=HERE, env={**os.environ, **env, "PYTHONPATH": str(HERE)}, check=True)
    with Site("ledger.wsgi.application", "--threads=4", cwd=HERE, env=env) as site:
        yield site


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def lines(site: Site) -> list[str]:
    found: list[str] = json.loads(site.get("/lines/").body)
    return found


def test_a_task_writes_on_a_connection_of_its_own_in_the_language_of_its_request(site: Site) -> None:
    assert site.get("/order/?language=de&commit").status == 200
    wait_for(lambda: len(lines(site)) == 2)
    assert lines(site)[0] == "order"
    assert lines(site)[1] in ("receipt de Asia/Tokyo other False", "receipt de Asia/Tokyo same False")


def test_same_thread(site: Site) -> None:
    assert site.get("/order/?same").status == 200
    wait_for(lambda: len(lines(site)) == 2)
    assert lines(site)[1] == "receipt fr Asia/Tokyo same False"


def test_after_commit_on_rollback_never_runs(site: Site) -> None:
    atomic = "LEDGER_ATOMIC" in site.env and site.env["LEDGER_ATOMIC"] == "1"
    assert site.get("/order/?fail&commit").status == 500
    assert site.get("/order/?same").status == 200
    written = ["order", "receipt fr Asia/Tokyo same False"]
    wait_for(lambda: written[1] in lines(site))
    if atomic:
        assert lines(site) == written  # neither the order that failed nor its receipt
    else:
        wait_for(lambda: len(lines(site)) == 4)  # in autocommit mode there is nothing to wait for, and [] lets it run after a 500


def status_of(site: Site, result_id: str) -> list[object]:
    found: list[object] = json.loads(site.get(f"/result/{result_id}/").body)
    return found


def test_tasks_of_django_run_when_the_response_is_out(site: Site) -> None:
    result_id = site.get("/enqueue/").text
    wait_for(lambda: sorted(lines(site)) == ["one", "two"])
    wait_for(lambda: status_of(site, result_id)[:2] == ["SUCCESSFUL", []])


def test_the_status_stops_tasks_of_django(site: Site) -> None:
    response = site.get("/enqueue/?status=404")
    assert response.status == 404
    wait_for(lambda: status_of(site, response.text)[:2] == ["FAILED", ["hendrix.crosstown.task.NoGo"]])
    assert lines(site) == []


def test_a_task_of_django_for_later_runs_later(site: Site) -> None:
    result_id = site.get("/enqueue/?later=0.5").text
    wait_for(lambda: lines(site) == ["two"])
    wait_for(lambda: sorted(lines(site)) == ["one", "two"])
    wait_for(lambda: status_of(site, result_id)[0] == "SUCCESSFUL")
    waited = status_of(site, result_id)[2]
    assert isinstance(waited, float)
    assert waited >= 0.4
    database = site.env["LEDGER_DATABASE"]
    wait_for(lambda: database not in open_files(site))


def test_a_task_that_is_not_due_when_the_process_ends_is_in_the_log(site: Site) -> None:
    assert site.get("/enqueue/?later=3600").status == 200
    wait_for(lambda: lines(site) == ["two"])
    site.stop()
    assert "the task ledger.tasks.write was not due yet and is not run: the process ends" in site.log


@pytest.mark.parametrize("kind", ["same", "commit"])
def test_no_connection_is_left_open(site: Site, kind: str) -> None:
    for _ in range(20):
        assert site.get(f"/order/?{kind}").status == 200
    # Looked at from outside: a request on the right thread would close what the task has left open.
    database = site.env["LEDGER_DATABASE"]
    with contextlib.closing(sqlite3.connect(database, timeout=DEADLINE)) as connection:
        wait_for(lambda: connection.execute("SELECT count(*) FROM ledger_line").fetchone() == (40,))
    wait_for(lambda: database not in open_files(site))


def open_files(site: Site) -> set[str]:
    directory = f"/proc/{site.pid}/fd"
    files = set()
    for descriptor in os.listdir(directory):
        with contextlib.suppress(FileNotFoundError):
            files.add(os.path.realpath(os.readlink(f"{directory}/{descriptor}")))
    return files


# Results of tasks, from process to process.

ASK = """
import os, sys, django
django.setup()
from ledger.api import TaskResultDoesNotExist, default_task_backend
from ledger import tasks
try:
    found = default_task_backend.get_result(sys.argv[1])
    print(found.status, found.args, found.is_finished, tasks.write.get_result(found.id).id == found.id)
except TaskResultDoesNotExist:
    print("unknown")
"""


def asked_outside(site: Site, result_id: str, control: str) -> str:
    env = {**site.env, "PYTHONPATH": str(HERE), "HENDRIX_CONTROL": control}
    return subprocess.check_output([sys.executable, "-c", ASK, result_id], cwd=HERE, env=env, text=True).strip()


def test_results_of_tasks_are_read_in_any_process_and_outlive_theirs(tmp_path: Path) -> None:
    env = {"LEDGER_DATABASE": str(tmp_path / "ledger.sqlite3"), "DJANGO_SETTINGS_MODULE": "ledger.settings"}
    migrate = [sys.executable, "-m", "django", "migrate", "--verbosity=0"]
    subprocess.run(migrate, cwd=HERE, env={**os.environ, **env, "PYTHONPATH": str(HERE)}, check=True)
    control = tmp_path / "control"
    with Site("ledger.wsgi.application", "--workers=2", f"--control={control}", cwd=HERE, env=env) as site:
        done, waits = site.get("/enqueue/"), site.get("/enqueue/?later=3600")
        wait_for(lambda: status_of(site, done.text)[:2] == ["SUCCESSFUL", []])  # in whatever process
        assert status_of(site, waits.text)[0] == "READY"
        assert asked_outside(site, done.text, str(control)) == "SUCCESSFUL ['one'] True True"
        assert asked_outside(site, waits.text, str(control)) == "READY ['one'] False True"
        assert asked_outside(site, "of-nobody", str(control)) == "unknown"
        assert asked_outside(site, done.text, "off") == "unknown"
        for pid in {int(done.headers["X-Process"]), int(waits.headers["X-Process"])}:
            os.kill(pid, signal.SIGKILL)
        # From here on no process answers that has had one of the tasks.
        wait_for(lambda: status_of(site, waits.text)[:2] == ["FAILED", ["hendrix.django.everywhere.ProcessEnded"]])
        assert status_of(site, done.text)[:2] == ["SUCCESSFUL", []]
        assert asked_outside(site, waits.text, str(control)) == "FAILED ['one'] True True"


def test_a_result_is_known_everywhere_as_soon_as_its_id_is(tmp_path: Path) -> None:
    env = {"LEDGER_DATABASE": str(tmp_path / "ledger.sqlite3"), "DJANGO_SETTINGS_MODULE": "ledger.settings"}
    with Site("ledger.wsgi.application", "--workers=2", cwd=HERE, env=env) as site:
        crossed = 0
        deadline = time.monotonic() + DEADLINE
        while crossed < 20 and time.monotonic() < deadline:
            enqueued = site.get("/enqueue/?later=3600")
            read = site.get(f"/result/{enqueued.text}/")
            assert read.status == 200
            crossed += enqueued.headers["X-Process"] != read.headers["X-Process"]
        assert crossed
