"""The log of a real process: its form for each launcher, its start, and what the application logs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sysconfig
import time
from pathlib import Path
from typing import Any

import pytest

from doors import Door
from harness import APPS, START, STOP, Site

AUTO = {"HENDRIX_LOG_FORMAT": "auto"}
OWN_LOGGING = """
import logging
logging.basicConfig(format="own: %(message)s")
from logged import app
"""
DICT_CONFIG = """
import logging.config
logging.config.dictConfig({
    "version": 1, "disable_existing_loggers": False,
    "handlers": {"hendrix": {"class": "hendrix.LogHandler"}},
    "root": {"handlers": ["hendrix"], "level": "INFO"},
})
from logged import app
"""


def events(site: Site) -> list[dict[str, Any]]:
    return [json.loads(line) for line in site.log.splitlines()]


@pytest.mark.parametrize("door", ["twistd", "daemon", "hx"])
@pytest.mark.parametrize("workers", [0, 1])
def test_away_from_a_terminal_each_line_is_an_object(door: Door, workers: int) -> None:
    with Site("logged:app", f"--workers={workers}", door=door, env=AUTO) as site:
        site.get("/raise")
        site.get("/log")
        site.wait_for_log("strings are old")
    log = events(site)
    assert "starting up" in log[0]["text"], "twistd's own lines have the form, too"
    [raised] = [line for line in log if line["text"] == "GET /raise raised ValueError"]
    assert raised["request"] == "GET /raise" and re.fullmatch("[0-9a-f]{16}", raised["request_id"])
    assert raised["traceback"].endswith("ValueError: as asked") and raised["level"] == "critical"
    [guitar] = [line for line in log if "guitar" in line["text"]]
    assert (guitar["namespace"], guitar["level"], guitar["text"]) == ("shop.orders", "warn", "the guitar is out of stock")
    assert guitar["request"] == "GET /log" and guitar["request_id"] != raised["request_id"]
    assert ("worker" in guitar) == bool(workers) and (guitar["pid"] == site.pid) == (not workers)
    assert [line["level"] for line in log if "strings are old" in line["text"]] == ["warn"]
    assert not any("not for everybody" in line["text"] for line in log)


@pytest.mark.parametrize("door", ["tac", "deploy"])
def test_where_the_log_has_begun_it_is_so_from_the_start_of_hendrix(door: Door) -> None:
    with Site("logged:app", "--log-format=json", door=door) as site:
        site.get("/raise")
        site.wait_for_log("as asked")
    lines = [json.loads(line) for line in site.log.splitlines() if line.startswith("{")]
    assert [line["request"] for line in lines if line["level"] == "critical"] == ["GET /raise"]
    assert any("serving" in line["text"] for line in lines)


def test_twist_keeps_its_own_form() -> None:
    with Site("logged:app", door="twist", env=AUTO) as site:
        site.get("/log")
        site.wait_for_log("strings are old")
    assert not any(line.startswith("{") for line in site.log.splitlines())


@pytest.mark.parametrize("name", ["textFileLogObserver", "jsonFileLogObserver"])
def test_a_logger_that_twistd_is_given_is_left_alone(name: str, tmp_path: Path) -> None:
    (tmp_path / "own_logger.py").write_text(f"import sys\nfrom twisted.logger import {name}\ndef observer(): return {name}(sys.stdout)\n")
    env = {"PYTHONPATH": f"{tmp_path}:{APPS}", **AUTO}
    with Site("logged:app", env=env, before=["--logger=own_logger.observer"], cwd=tmp_path) as site:
        site.wait_for_log("serving")
    assert ('"log_format"' in site.log) == (name == "jsonFileLogObserver")
    assert '{"time"' not in site.log


def test_the_request_stands_above_its_traceback() -> None:
    with Site("logged:app", "--log-format=text") as site:
        site.get("/raise?a=b")
        site.wait_for_log("as asked")
    assert re.search(r"\n\twhile answering GET /raise\?a=b \(id [0-9a-f]{16}\)\n\tTraceback ", site.log)


def test_the_start_says_where_with_what_and_how_to_stop_it() -> None:
    options = ("--threads=3", "--max-body=100k", "--trusted-proxy=unix", "--trusted-proxy=10.0.0.0/8", "--secret=not to be seen!!")
    with Site("logged:app", *options) as site:
        site.wait_for_log("settings other than the defaults")
        assert "serving logged:app on http://127.0.0.1:" in site.log
        assert f"stop with Ctrl-C or kill {site.pid}" in site.log
        [line] = [line for line in site.log.splitlines() if "settings other" in line]
    assert "--threads=3 --max-body=102400 --trusted-proxy=unix --trusted-proxy=10.0.0.0/8" in line
    assert "not to be seen" not in site.log and "--backlog" not in line


@pytest.mark.parametrize("workers", [0, 1])
def test_an_application_that_configures_logging_has_it_its_way(workers: int, tmp_path: Path) -> None:
    env = {"PYTHONPATH": f"{tmp_path}:{APPS}", **AUTO}
    (tmp_path / "own_logging.py").write_text(OWN_LOGGING)
    (tmp_path / "dict_config.py").write_text(DICT_CONFIG)
    with Site("own_logging:app", f"--workers={workers}", env=env, cwd=tmp_path) as site:
        site.get("/log")
        site.wait_for_log("strings are old")
    assert [line["namespace"] for line in events(site) if line["text"] == "own: the guitar is out of stock"] == ["stderr"]
    assert site.log.count("guitar") == 1
    with Site("dict_config:app", f"--workers={workers}", env=env, cwd=tmp_path) as site:
        site.get("/log")
        site.wait_for_log("strings are old")
    found = {line["text"]: line["level"] for line in events(site) if line["namespace"] == "shop.orders"}
    assert found == {"the guitar is out of stock": "warn", "this is not for everybody": "info"}


@pytest.mark.parametrize("colours", [True, False])
def test_on_a_terminal(colours: bool, tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    env = {**os.environ, **AUTO, "TERM": "xterm", "NO_COLOR": "" if colours else "1"}
    ports = tmp_path / "ports"
    command = [f"{sysconfig.get_path('scripts')}/hx", "--wsgi=logged:app", "--listen=tcp:0", f"--port-file={ports}", "--control=off"]
    process = subprocess.Popen(command, cwd=APPS, env=env, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
    try:
        deadline = time.monotonic() + START
        while not ports.exists():
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        process.wait(STOP)
        log = os.read(ours, 65536).decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)
    assert re.search(r"\d\d:\d\d:\d\d \[web\]", log)
    assert ("\x1b[" in log) == colours
