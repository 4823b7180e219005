"""A wheel, an sdist and an editable install, each in a fresh environment with nothing but what hendrix requires."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOT_SOURCE = shutil.ignore_patterns(".git", ".venv*", ".*_cache", "__pycache__", "build", "dist", "*.egg-info", "dropin.cache")
PLUGIN = "twisted/plugins/hendrix_plugin.py"

LOOK = """
import hendrix, os, sys
for name in hendrix.__all__:
    getattr(hendrix, name)
assert os.path.exists(os.path.join(os.path.dirname(hendrix.__file__), "py.typed"))
print(os.path.dirname(os.path.dirname(os.path.realpath(hendrix.__file__))))
"""


def run(*command: str | Path, cwd: Path = Path("/")) -> str:
    """Run a command outside this environment and return what it prints; a test fails with all of it."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source tree, for a build leaves its traces in it."""
    return shutil.copytree(ROOT, tmp_path_factory.mktemp("source") / "hendrix", ignore=NOT_SOURCE)


@pytest.fixture(scope="module")
def built(source: Path) -> Path:
    """Where the sdist lies, and the wheel that was built from it."""
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", source.parent / "dist", source)
    return source.parent / "dist"


@pytest.mark.parametrize("kind", ["wheel", "sdist", "editable"])
def test_twistd_and_twist_find_it_from_any_directory(kind: str, source: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if kind == "editable":
        what: list[str | Path] = ["--editable", source]
    else:
        what = list(request.getfixturevalue("built").glob("*.whl" if kind == "wheel" else "*.tar.gz"))
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    scripts = tmp_path / "venv" / "bin"
    run(scripts / "python", "-m", "pip", "install", "--quiet", *what)

    home = Path(run(scripts / "python", "-c", LOOK).strip())
    assert home.is_relative_to(source if kind == "editable" else tmp_path)
    for command in (["twistd", "hendrix"], ["twist", "hendrix"], ["hx"], ["hendrix"]):
        assert "--wsgi" in run(scripts / command[0], *command[1:], "--help"), command
    assert "hendrix" in run(scripts / "twistd", "--help")
    assert "uvloop" in run(scripts / "twistd", "--help-reactors")

    run(scripts / "python", "-m", "pip", "uninstall", "--quiet", "--yes", "hendrix")
    assert "hendrix" not in run(scripts / "twistd", "--help"), "Twisted's own plugins stay, and ours goes"


def test_the_wheel_holds_the_package_and_one_plugin(built: Path) -> None:
    wheel = zipfile.ZipFile(next(built.glob("*.whl")))
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert {name for name in names if not name.startswith("hendrix/")} == {PLUGIN}
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "hendrix").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert names - {PLUGIN} == sources
    metadata = next(name for name in wheel.namelist() if name.endswith("METADATA"))
    assert "License-Expression: MIT" in wheel.read(metadata).decode()
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


def test_the_sdist_holds_all_that_builds_and_tests_it(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not in a git repository")
    assert set(listed.stdout.split()) - names <= {".gitignore"}
