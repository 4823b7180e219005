"""No block of Python stands there untried: it is a file that a test runs, it runs here, or it says why nothing runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pages import OURS, ROOT, Block, Page

# What the pages take for granted: a Django project with its models, and what a module has imported further up.
AROUND = """
import json, sys
from types import SimpleNamespace
from unittest.mock import MagicMock
import django
from django.conf import settings
INSTALLED = ["hendrix.django", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
settings.configure(SECRET_KEY="x" * 50, INSTALLED_APPS=INSTALLED, ALLOWED_HOSTS=["*"], DATABASES=DATABASES)
django.setup()
from twisted.application.service import Service
from hendrix import hey_joe
from hendrix.testing import held_connections
names = ("Order", "Report", "Message", "render", "mail_admins", "make_thumbnail")
around = {name: MagicMock() for name in names} | {"hey_joe": hey_joe, "Service": Service, "name": "a.png", "__name__": "block"}
for number, block in enumerate(json.load(sys.stdin)):
    code = compile(block, f"block {number}", "exec")
    with held_connections():
        exec(code, dict(around))
"""
TESTS = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("test_*.py")))


def fragments(where: Page) -> list[str]:
    """The blocks that are no files, but for the one that test_running.py starts."""
    return [block.text for block in where.of("python") if not block.left and not block.name and "deployer.start()" not in block.text]


@pytest.mark.parametrize("where", [where for where in OURS if fragments(where)], ids=str)
def test_what_is_no_file_runs(where: Page, tmp_path: Path) -> None:
    """Each import, each decorator and each call at the top; what stands in a function is for the tests of that page."""
    given = json.dumps(fragments(where))
    done = subprocess.run([sys.executable, "-c", AROUND], input=given, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", [block for where in OURS for block in where.of("python") if block.name and not block.left])
def test_what_is_a_file_is_started_by_a_test(block: Block) -> None:
    assert block.name is not None
    stem = Path(block.name).stem
    started = (f'"{block.name}"', f"{stem}.app", f"{stem}.factory", f"wsgi=({stem}|", f"|{stem})")
    assert any(one in TESTS for one in started), f"no test starts {block.name}"
