"""Which files are the project's, and which of them are code."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hendrix.dev.files import Project, is_code


@pytest.mark.parametrize(
    ("path", "has"),
    [
        ("app.py", True),
        ("shop/views.py", True),
        (".env", True),
        ("shop/templates/front.html", True),
        (".git/index", False),
        ("shop/.idea/workspace.py", False),
        ("shop/__pycache__/views.cpython-311.pyc", False),
        ("web/node_modules/left/pad.py", False),
        ("venv/lib/python3.11/site.py", False),
        ("anyname/lib/python3.11/site.py", False),  # it has a pyvenv.cfg
        ("shop/.#views.py", False),
    ],
)
def test_what_the_project_has(tmp_path: Path, path: str, has: bool) -> None:
    (tmp_path / "anyname").mkdir()
    (tmp_path / "anyname/pyvenv.cfg").touch()
    assert Project([str(tmp_path)]).has(str(tmp_path / path)) == has


def test_where_the_project_itself_is_does_not_matter(tmp_path: Path) -> None:
    root = tmp_path / ".hidden/venv"
    root.mkdir(parents=True)
    project = Project([str(root)])
    assert project.has(str(root / "app.py"))
    assert not project.has(str(tmp_path / "app.py"))
    assert not project.has(str(tmp_path / ".hidden/venv2/app.py"))
    assert project.name(str(root / "shop/views.py")) == "shop/views.py"


def test_a_root_is_watched_once(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    link = tmp_path / "link"
    link.symlink_to(inner)
    assert Project(map(str, [inner, tmp_path, link, tmp_path])).roots == [os.path.realpath(tmp_path)]


@pytest.mark.parametrize("path", ["/a/b.py", "/a/pyproject.toml", "/a/.env", "/a/site.yml"])
def test_code(path: str) -> None:
    assert is_code(path)


@pytest.mark.parametrize("path", ["/a/b.html", "/a/db.sqlite3-wal", "/a/data.json", "/a/py", "/a/b.py~", "/a/env"])
def test_no_code(path: str) -> None:
    assert not is_code(path)
