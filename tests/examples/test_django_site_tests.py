"""The example Django sites have tests of their own, and its mail goes out behind the response."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from browser import DEADLINE, Browser

from harness import Site


def manage(project: Path, database: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=project,
        env={**os.environ, "SITE_DATABASE": str(database), "CHAT_DATABASE": str(database)},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )


def test_its_own_tests_pass(examples: Path, tmp_path: Path) -> None:
    done = manage(examples / "django_site", tmp_path / "site.sqlite3", "test")
    assert done.returncode == 0, done.stderr
    assert "Ran 4 tests" in done.stderr


def test_those_of_the_chat_pass(examples: Path, tmp_path: Path) -> None:
    done = manage(examples / "chat", tmp_path / "chat.sqlite3", "test")
    assert done.returncode == 0, done.stderr
    assert "Ran 5 tests" in done.stderr


def test_the_host_gets_an_email(examples: Path, tmp_path: Path) -> None:
    project, database = examples / "django_site", tmp_path / "site.sqlite3"
    assert manage(project, database, "demo").returncode == 0
    with Site("mysite.wsgi.application", cwd=project, env={"SITE_DATABASE": str(database)}) as site:
        browser = Browser(site.url)
        page = browser.submit(browser.get("/book/"), name="Mitch", text="Bring the drums.")
        assert page.status == 200
        site.wait_for_log("Subject: Mitch has signed the guest book")
        site.wait_for_log("To: host@localhost")
