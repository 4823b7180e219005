"""The harness itself: each door opens, closes cleanly, and what goes wrong is said."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import get_args

import pytest

import doors
from harness import Site, SiteError

DOORS = get_args(doors.Door)


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("door", DOORS)
def test_what_ends_before_it_listens_is_shown_with_its_log(door: doors.Door) -> None:
    with pytest.raises(SiteError, match=r"before it listened[\s\S]*no_such_module"), Site("no_such_module:app", door=door):
        pass


def test_a_failing_test_leaves_no_process_and_sees_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), Site("hello:app") as site:
        raise ZeroDivisionError
    assert not is_alive(site.pid)
    assert "hendrix" in capsys.readouterr().out
    assert site.log, "the log is kept after the end"


def test_a_crash_during_the_test_fails_it() -> None:
    with pytest.raises(SiteError, match="ended with -9"), Site("hello:app") as site:
        os.kill(site.pid, signal.SIGKILL)


def test_run_gives_the_exit_code_and_the_output() -> None:
    code, output = Site("hello:app", "--no-such-flag").run()
    assert code == 1
    assert "no-such-flag" in output


def test_several_addresses(tmp_path: Path) -> None:
    with Site("hello:app", listen=["tcp:0:interface=127.0.0.1", f"unix:{tmp_path}/socket", "tcp:0:interface=127.0.0.1"]) as site:
        assert len(site.addresses) == 3
        assert len(site.ports) == 2
        assert [site.get("/", address=number).status for number in range(3)] == [200, 200, 200]
        assert site.threads >= 1
        assert site.descriptors > 3
        assert site.memory > 1 << 20


def test_keywords() -> None:
    options = ["--wsgi=a:b", "--max-head=512", "--grace=0.5", "--max-body=10M", "--listen=tcp:1", "--listen=tcp:2"]
    expected = {"wsgi": "a:b", "max_head": 512, "grace": 0.5, "max_body": "10M", "listen": ("tcp:1", "tcp:2")}
    assert doors.keywords(options) == expected
