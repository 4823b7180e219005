"""``hx profile``: a flame graph of a process that works."""

from __future__ import annotations

import json
import subprocess
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness import STOP, Site
from hendrix.cli import profile

HX = f"{sysconfig.get_path('scripts')}/hx"


@contextmanager
def busy(site: Site) -> Iterator[None]:
    """A client that keeps one thread in `busy_view`."""
    enough = threading.Event()

    def ask() -> None:
        while not enough.is_set():
            site.get("/busy?0.3")

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


def hx(site: Site, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    control = site.directory / "control"
    command = [HX, "profile", f"--control={control}", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=STOP * 2)


def functions(file: Path) -> dict[str, set[str]]:
    """The functions that are in a speedscope file, by thread."""
    data: dict[str, Any] = json.loads(file.read_text())
    frames = [frame["name"] for frame in data["shared"]["frames"]]
    return {one["name"]: {frames[index] for sample in one["samples"] for index in sample} for one in data["profiles"]}


@pytest.mark.parametrize("workers", [0, 2])
def test_the_busy_view_is_in_it(workers: int, tmp_path: Path) -> None:
    with control_site(workers) as site:
        pid = site.pid
        with busy(site):
            done = hx(site, "--seconds=3", *(["--worker=2"] if workers else []), cwd=tmp_path)
            other = hx(site, "--seconds=3", "--output=other.svg", cwd=tmp_path) if workers else None
        assert done.returncode == 0, done.stderr
        assert ("looking at worker 2, pid " if workers else f"looking at hendrix, pid {pid}, ") in done.stderr
        [file] = tmp_path.glob("*.json")
        assert done.stdout.startswith(f"{file.name}: ") and file.name.startswith("worker-2-" if workers else "hendrix-")
        found = set().union(*functions(file).values())
        if other is not None:
            assert other.returncode == 0, other.stderr
            svg = (tmp_path / "other.svg").read_text()
            assert svg.startswith("<?xml") and "<svg" in svg
            assert "busy_view" in found or "busy_view" in svg, "one of two workers had the client"
        else:
            assert "busy_view" in found
        assert site.get("/").status == 200


def control_site(workers: int) -> Site:
    site = Site("logged:app", f"--workers={workers}", "--threads=2")
    site.command.append(f"--control={site.directory / 'control'}")
    return site


def test_what_cannot_be(tmp_path: Path) -> None:
    with control_site(1) as site:
        done = hx(site, "--worker=7", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (1, "hendrix: error: worker=7: no such worker serves; there is worker 1\n")
        done = hx(site, "--seconds=1", f"--output={tmp_path / 'missing' / 'file'}", cwd=tmp_path)
        assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith("hendrix: error: profile: ")
    with control_site(0) as site:
        done = hx(site, "--worker=1", cwd=tmp_path)
        assert "this process serves by itself" in done.stderr and done.returncode == 1


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Error: Permission Denied: Try running again with elevated permissions", "--cap-add=SYS_PTRACE"),
        ("Error: Failed to get process executable name. (os error 1): Operation not permitted", "be root"),
        ("Error: Failed to find a python interpreter\n  caused by: x", "py-spy: caused by: x"),
        ("", "did not say why"),
    ],
)
def test_what_py_spy_says_becomes_one_line(said: str, words: str) -> None:
    line = profile.explained(said, 1)
    assert words in line and "\n" not in line


def test_without_py_spy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile.shutil, "which", lambda name, path: None)
    with pytest.raises(profile.ConfigurationError, match=r"install hendrix\[profile\]"):
        profile.found()
