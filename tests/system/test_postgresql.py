"""Crosstown traffic with a database that has connections to lose: PostgreSQL."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import postgresql
from harness import Site

HERE = Path(__file__).parents[1] / "django"  # the project "ledger"
DEADLINE = 60.0
OURS = "FROM pg_stat_activity WHERE application_name = 'ledger'"

pytestmark = pytest.mark.skipif(bool(postgresql.missing()), reason=postgresql.missing())


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgresql.postgresql() as directory:
        migrate = [sys.executable, "-m", "django", "migrate", "--verbosity=0"]
        env = {"LEDGER_POSTGRESQL": directory, "DJANGO_SETTINGS_MODULE": "ledger.settings", "PYTHONPATH": str(HERE)}
        subprocess.run(migrate, cwd=HERE, env={**os.environ, **env}, check=True)
        yield directory


@contextlib.contextmanager
def ledger(database: str, threads: int, **settings: str) -> Iterator[Site]:
    """The project, served, and its table empty."""
    postgresql.ask(database, "DELETE FROM ledger_line RETURNING id")
    env = {"LEDGER_POSTGRESQL": database, "DJANGO_SETTINGS_MODULE": "ledger.settings", **settings}
    with Site("ledger.wsgi.application", f"--threads={threads}", cwd=HERE, env=env) as site:
        yield site


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def lines(site: Site) -> list[str]:
    found: list[str] = json.loads(site.get("/lines/").body)
    return found


def test_a_task_that_waits_for_the_commit_and_connections_that_are_given_back(database: str) -> None:
    with ledger(database, 4, LEDGER_ATOMIC="1") as site:
        assert site.get("/order/?fail&commit").status == 500
        for _ in range(10):
            assert site.get("/order/?commit").status == 200
            assert site.get("/order/?commit&same").status == 200
        written = "SELECT text LIKE 'receipt%', count(*) FROM ledger_line GROUP BY 1 ORDER BY 1"
        wait_for(lambda: postgresql.ask(database, written) == [(False, 20), (True, 20)])
        # Looked at from outside: a request on the right thread would close what the task has left open.
        wait_for(lambda: postgresql.ask(database, f"SELECT count(*) {OURS}") == [(0,)])
    assert postgresql.ask(database, written) == [(False, 20), (True, 20)], "neither the order that failed nor its receipt"


def test_a_task_that_loses_its_connection_takes_no_other_task_along(database: str) -> None:
    with ledger(database, 1, LEDGER_MAX_AGE="600") as site:  # one thread: all have the same connection
        assert site.get("/order/?language=de").status == 200
        wait_for(lambda: len(lines(site)) == 2)
        kept = postgresql.ask(database, f"SELECT pid {OURS}")
        assert len(kept) == 1
        assert site.get("/order/?language=de&die").status == 200
        site.wait_for_log("the task die of GET /order/?language=de&die")
        wait_for(lambda: len(lines(site)) == 4)
        assert lines(site)[3] == "receipt de Asia/Tokyo same False"
        assert len(new := postgresql.ask(database, f"SELECT pid {OURS}")) == 1 and new != kept
