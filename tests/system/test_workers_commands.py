"""`hx` and a site with workers: its tree, its threads, reload, another number of workers."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path

import pytest
from pressure import connect, eventually, get

from harness import Site


def hx(control: Path, *words: str) -> tuple[int, str]:
    command = [f"{sysconfig.get_path('scripts')}/hx", *words, f"--control={control}"]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    return done.returncode, done.stdout


@pytest.fixture
def control(tmp_path: Path) -> Path:
    return tmp_path / "control"


def test_the_tree_the_threads_and_the_number_of_workers(tmp_path: Path, control: Path) -> None:
    trouble = tmp_path / "trouble"
    trouble.write_text("1")
    with Site("working:app", "--workers=2", f"--control={control}", env={"WORKING_TROUBLE": str(trouble)}) as site:
        first, second = sorted(site.children)
        with connect(site, "tcp") as wire:
            here = tmp_path / "here"
            wire.send(get(f"/hold?here={here}"))
            eventually(lambda: here.exists() and here.read_text() != "", "the request does not reach the application")

            def shown() -> bool:
                lines = hx(control, "tree")[1].splitlines()
                return any("8 threads (1 busy, backlog 0)" in line for line in lines)

            eventually(shown, "the tree does not show the busy thread")
            tree = hx(control, "tree")[1]
            for pid in (first, second):
                assert f"pid {pid}" in tree
            assert tree.count("─ web ") == 2
            threads = hx(control, "threads")[1]
            assert "GET /hold" in threads and "wait_here: time.sleep(0.01)" in threads
            here.unlink()
            assert wire.answer().status == 200
        assert hx(control, "workers") == (0, "2\n")
        assert hx(control, "workers", "+1") == (0, "3\n")
        assert len(site.children) == 3
        assert hx(control, "workers", "1")[0] == 0
        eventually(lambda: len(site.children) == 1, "they do not leave")
        code, said = hx(control, "workers", "0")
        assert code == 1
        assert "workers=0: give a whole number from 1 to 512" in said
        old = site.children
        assert hx(control, "reload") == (0, "1 workers with new code\n")
        eventually(lambda: len(site.children) == 1 and site.children != old, "it is not replaced")
        trouble.write_text("broken")
        code, said = hx(control, "reload")
        assert code == 1
        assert "the old workers go on: hendrix: error: --wsgi=working:app: importing working raised RuntimeError" in said
        assert hx(control, "stop")[0] == 0
        assert site.wait() in (0, 1, -15) and not os.path.exists(control)
