"""The command lines of bench.py and hotpath.py."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import hotpath
import pytest

import bench

BENCH = Path(bench.__file__)


@pytest.mark.parametrize(
    "argv",
    [
        ["--quick"],
        ["hendrix"],
        ["-a", "bare"],
        ["-r", "1"],
        ["--idle", "0"],
        ["-t", "4"],
        ["--no-crosstown"],
        ["--no-workers"],
        ["--no-realtime"],
        ["--no-brokers"],
    ],
)
def test_a_narrowed_run_does_not_write_the_results(argv: list[str]) -> None:
    assert bench.parse(argv).out is None


def test_a_full_run_writes_the_results() -> None:
    assert bench.parse([]).out == BENCH.with_name("RESULTS.md")


def test_quick_keeps_the_selection() -> None:
    options = bench.parse(["-q", "hendrix", "uWSGI", "-a", "django", "-c", "3"])
    assert (options.rounds, options.seconds, options.servers, options.apps, options.connections) == (
        1,
        1,
        ["hendrix", "uWSGI"],
        ["django"],
        [3],
    )


@pytest.mark.parametrize("argv", [["apache"], ["-a", "zope"], ["-c", "0"], ["-r", "0"], ["-s", "many"]])
def test_a_wrong_selection_is_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        bench.parse(argv)
    assert caught.value.code == 2
    assert "error" in capsys.readouterr().err


def test_a_fault_is_one_line_of_the_report_without_the_paths_of_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    run = bench.Bench(bench.parse(["--server-core=0", "--client-core=0"]))
    run.fault('peer, bare: Traceback:\n  File "/home/x/y.py", line 1\nValueError: no: such thing\n')
    run.fault("peer: not installed")
    assert run.results.faults == ["peer, bare: ValueError: no: such thing", "peer: not installed"]
    assert "/home/x" in capsys.readouterr().out


def test_stacks_are_summed() -> None:
    text = """\
process 7:"python";thread (0x1): crew-1;work (crew.py:10);call (call.py:5) 3
process 7:"python";thread (0x1): crew-1;work (crew.py:12) 2
process 7:"python";thread (0x2): crew-2;work (crew.py:12);work (crew.py:10) 1
"""
    threads, files, selfs, inclusive, total = hotpath.read_stacks(text, lines=False)
    assert total == 6
    assert threads == {"crew-1": 5, "crew-2": 1}
    assert files == {"call.py": 3, "crew.py": 3}
    assert selfs == {"call (call.py)": 3, "work (crew.py)": 3}
    assert inclusive == {"call (call.py)": 3, "work (crew.py)": 6}
    assert hotpath.read_stacks(text, lines=True)[2] == {"call (call.py:5)": 3, "work (crew.py:12)": 2, "work (crew.py:10)": 1}


@pytest.mark.skipif(not shutil.which("wrk"), reason="needs wrk")
def test_a_short_run_with_hendrix() -> None:
    command = [
        sys.executable,
        str(BENCH),
        "--quick",
        "hendrix",
        "-a",
        "bare",
        "-c",
        "4",
        "--idle",
        "40",
        "--no-crosstown",
        "--no-workers",
        "--no-realtime",
        "--no-brokers",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "faults: 0" in done.stdout, done.stdout + done.stderr
    assert "40 idle keep-alive connections on hendrix" in done.stdout
    assert done.returncode == 0
