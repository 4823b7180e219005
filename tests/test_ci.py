"""The scripts in .ci, among commands that are faked by files in a directory in front of PATH."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CI = Path(__file__).parent.parent / ".ci"


class Bin:
    """A directory of fake commands; each notes how it was called."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.calls = directory / "calls"
        self.calls.touch()

    def fake(self, name: str, script: str = "exit 0") -> None:
        path = self.directory / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> {self.calls}\n{script}\n')
        path.chmod(0o755)

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        env = {"PATH": f"{self.directory}:/usr/bin:/bin", "HOME": str(self.directory)}
        return subprocess.run([CI / script, *arguments], env=env, capture_output=True, text=True)


@pytest.fixture
def commands(tmp_path: Path) -> Bin:
    return Bin(tmp_path)


def test_run_is_make_test_and_its_exit_code(commands: Bin) -> None:
    commands.fake("make", "exit 7")
    assert commands.run("run").returncode == 7
    assert commands.calls.read_text() == "make test\n"


def test_python_passes_by_an_interpreter_that_does_not_run(commands: Bin) -> None:
    commands.fake("python3", "echo 'pyenv: python3: command not found' >&2; exit 127")
    commands.fake("python3.14", f'exec {sys.executable} "$@"')
    done = commands.run("python")
    assert done.returncode == 0
    assert os.path.samefile(done.stdout.strip(), sys.executable)


def test_python_says_that_the_given_one_does_not_suit(commands: Bin) -> None:
    commands.fake("too-old", f"exec {sys.executable} -c 'raise AssertionError'")
    done = commands.run("python", "too-old")
    assert done.returncode == 1
    assert "too-old is not a working CPython 3.10 or newer" in done.stderr
    assert commands.run("python", sys.executable).stdout.strip() == sys.executable


def test_tools_that_are_there_cost_nothing(commands: Bin) -> None:
    commands.fake("apt-get")
    assert commands.run("tools", "sh", "cat=coreutils").returncode == 0
    assert commands.calls.read_text() == ""


def test_root_on_debian_gets_what_is_missing(commands: Bin) -> None:
    commands.fake("id", "echo 0")
    install = f"printf '#!/bin/sh\\n' > {commands.directory}/purple; chmod +x {commands.directory}/purple"
    commands.fake("apt-get", f'case "$*" in *install*purple-haze) {install} ;; esac')
    assert commands.run("tools", "sh", "purple=purple-haze").returncode == 0
    update, install = [line for line in commands.calls.read_text().splitlines() if line.startswith("apt-get")]
    assert "update" in update
    assert install.endswith("install -y -qq --no-install-recommends purple-haze")


def test_others_are_told_loudly(commands: Bin) -> None:
    commands.fake("id", "echo 1000")
    commands.fake("apt-get")
    done = commands.run("tools", "no-such-command=purple-haze", "sh")
    assert done.returncode == 1
    assert "missing and not installed: purple-haze" in done.stderr
    assert "apt-get" not in commands.calls.read_text()
