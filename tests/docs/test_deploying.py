"""The files for systemd and Docker: what the page shows is what is there, and their programs take it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.request
from pathlib import Path

import pytest
from pages import ROOT, page

FILES = ROOT / "docs/deploying"
SCRIPTS = sysconfig.get_path("scripts")
APPS = ROOT / "tests/system/apps"


@pytest.mark.parametrize("name", ["hendrix.service", "hendrix.socket", "Dockerfile"])
def test_the_page_shows_the_files(name: str) -> None:
    assert (FILES / name).read_text() in [block.text for block in page("deploying.md").blocks]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    units = {}
    for kind in ("service", "socket"):
        text = (FILES / f"hendrix.{kind}").read_text()
        units[kind] = tmp_path / f"myproj.{kind}"
        units[kind].write_text(text.replace("/srv/myproj/.venv/bin/twistd", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", *map(str, units.values())], capture_output=True, text=True, timeout=60)
    assert [line for line in (done.stdout + done.stderr).splitlines() if "myproj" in line] == []


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile with what follows them."""
    lines = [line for line in (FILES / "Dockerfile").read_text().splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def test_docker_s_command_serves_with_docker_s_environment(tmp_path: Path) -> None:
    given = dict(instructions())
    assert set(given) <= {"FROM", "WORKDIR", "COPY", "RUN", "USER", "ENV", "EXPOSE", "HEALTHCHECK", "CMD"}
    variables = dict(word.split("=", 1) for word in shlex.split(given["ENV"]))
    assert variables["PORT"] == given["EXPOSE"]
    own = {"HENDRIX_WSGI": "hello:app", "HENDRIX_CONTROL": str(tmp_path / "c"), "HENDRIX_PORT_FILE": str(tmp_path / "ports"), "PORT": "0"}
    environ = {**os.environ, **variables, **own, "PATH": f"{SCRIPTS}:{os.environ['PATH']}"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(json.loads(given["CMD"]), cwd=APPS, env=environ, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "ports").exists():
            assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.01)
        port = re.fullmatch(r"tcp:0\.0\.0\.0:(\d+)\n", (tmp_path / "ports").read_text())
        assert port is not None
        with urllib.request.urlopen(f"http://127.0.0.1:{port[1]}/", timeout=60) as answer:
            assert answer.status == 200
        healthy = json.loads(given["HEALTHCHECK"].removeprefix("CMD "))
        subprocess.run(healthy, cwd="/", env=environ, check=True, capture_output=True, timeout=60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (0, -signal.SIGTERM)
        assert subprocess.run(healthy, cwd="/", env=environ, capture_output=True, timeout=60).returncode == 1
    finally:
        process.kill()
        process.wait()


def test_a_host_of_applications(tmp_path: Path) -> None:
    """The command of the page, with any port: it listens on all interfaces, and its options are those of the variables."""
    [words] = [words for words in page("deploying.md").commands if words[0].startswith("PORT=")]
    variables = dict(word.split("=", 1) for word in words if "=" in word and not word.startswith("--"))
    command = [word.replace("myproj.wsgi.application", "hello:app") for word in words[len(variables) :]]
    own = {"HENDRIX_PORT_FILE": str(tmp_path / "ports"), "HENDRIX_CONTROL": str(tmp_path / "c"), "PORT": "0"}
    environ = {**os.environ, **variables, **own, "PATH": f"{SCRIPTS}:{os.environ['PATH']}"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=APPS, env=environ, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "ports").exists():
            assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.01)
        port = re.fullmatch(r"tcp:0\.0\.0\.0:(\d+)\n", (tmp_path / "ports").read_text())
        assert port is not None
        with urllib.request.urlopen(f"http://127.0.0.1:{port[1]}/health", timeout=60) as answer:
            assert answer.read() == b"200 OK: ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (0, -signal.SIGTERM)
        assert all(option in (tmp_path / "log").read_text() for option in ("--workers=2", "--grace=20", "--crosstown-grace=5"))
    finally:
        process.kill()
        process.wait()
