"""Worker processes: what they serve, what becomes of those that die, stand still or grow old, and how all of them end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pressure import Wire, connect, endpoints, eventually, get

from certificates import Certificate
from doors import command
from harness import APPS, CLEAN, Site

LISTEN = "--listen=tcp:0:interface=127.0.0.1"


def about(site: Site, path: str = "/", address: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(site.get(path, address=address).body)
    return found


def gone(pid: int) -> bool:
    try:
        return "(zombie)" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


@contextlib.contextmanager
def held(site: Site, here: Path, path: str = "/hold", address: int = 0) -> Iterator[Wire]:
    """A connection whose request is with the application."""
    with connect(site, ("tcp", "unix", "tls")[address]) as wire:
        wire.send(get(f"{path}?here={here}"))
        eventually(lambda: here.exists() and here.read_text() != "", "the request does not reach the application")
        yield wire
    here.unlink(missing_ok=True)


def test_workers_serve_every_kind_of_listener_and_the_parent_none(tmp_path: Path, certificate: Certificate) -> None:
    listen = [*endpoints(tmp_path, certificate), "haproxy:tcp:0:interface=127.0.0.1"]
    with Site("working:app", "--workers=2", listen=listen) as site:
        assert len(site.children) == 2
        for address, (scheme, remote) in enumerate([("http", "127.0.0.1"), ("http", ""), ("https", "127.0.0.1")]):
            found = about(site, address=address)
            assert found["pid"] in site.children
            assert (found["wsgi.multiprocess"], found["wsgi.url_scheme"], found["REMOTE_ADDR"]) == (True, scheme, remote)
        with site.connect(3) as proxied:
            proxied.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.1 1234 80\r\n" + get("/"))
            assert json.loads(Wire(proxied).answer().body)["REMOTE_ADDR"] == "192.0.2.7"
        met = {about(site)["pid"]}
        eventually(lambda: met.add(about(site)["pid"]) or met == set(site.children), "one has no share")  # type: ignore[func-returns-value]
        children = site.children
        assert "2 workers" in site.log
    assert all(map(gone, children))


def about_wire(wire: Wire) -> dict[str, Any]:
    wire.send(get("/"))
    found: dict[str, Any] = json.loads(wire.answer().body)
    return found


def test_sigterm_answers_what_is_in_flight_refuses_newcomers_and_leaves_nobody(tmp_path: Path, certificate: Certificate) -> None:
    with Site("working:app", "--workers=2", listen=endpoints(tmp_path, certificate)) as site:
        children = site.children
        with contextlib.ExitStack() as stack:
            busy = [stack.enter_context(held(site, tmp_path / f"here{address}", address=address)) for address in range(3)]
            idle = stack.enter_context(connect(site, "tcp"))
            about_wire(idle)
            os.kill(site.pid, signal.SIGTERM)
            assert idle.rest() == b""
            eventually(lambda: refuses(site), "it goes on to listen")
            for address, wire in enumerate(busy):
                (tmp_path / f"here{address}").unlink()
                answer = wire.answer()
                assert (answer.status, answer.closes) == (200, True)
        assert site.wait() in CLEAN
    assert all(map(gone, children))
    assert "Traceback" not in site.log


def refuses(site: Site) -> bool:
    try:
        site.connect().close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_worker_that_dies_is_replaced_and_the_others_go_on(tmp_path: Path) -> None:
    with Site("working:app", "--workers=2") as site:
        with held(site, tmp_path / "here") as wire:
            busy = int((tmp_path / "here").read_text())
            (other,) = set(site.children) - {busy}
            os.kill(other, signal.SIGKILL)
            eventually(lambda: len(site.children) == 2 and other not in site.children, "it is not replaced")
            (tmp_path / "here").unlink()
            assert json.loads(wire.answer().body)["pid"] == busy
        site.wait_for_log("was killed by SIGKILL")
        with connect(site, "tcp") as wire:
            wire.send(get("/die"))
            assert wire.rest() == b""
        site.wait_for_log("ended with exit code 3")
        eventually(lambda: len(site.children) == 2, "it is not replaced")
        assert about(site)["pid"] in site.children


def test_what_a_stuck_worker_cannot_serve_is_left_to_the_others(tmp_path: Path) -> None:
    with Site("working:app", "--workers=2", "--threads=1") as site:
        with held(site, tmp_path / "here"):
            busy = int((tmp_path / "here").read_text())
            assert {about(site)["pid"] for _ in range(30)} == set(site.children) - {busy}


def test_a_worker_whose_reactor_stands_still_is_shown_killed_and_replaced() -> None:
    with Site("working:app", "--workers=2", "--worker-timeout=3") as site:
        stuck = about(site, "/block")["pid"]
        site.wait_for_log(f"pid {stuck} has given no sign of life for 3 s")
        site.wait_for_log("in stand_still")
        site.wait_for_log("Thread 0x")
        site.wait_for_log(f"pid {stuck} was killed by SIGABRT")
        eventually(lambda: len(site.children) == 2 and stuck not in site.children, "it is not replaced")
        assert about(site)["pid"] != stuck


@pytest.mark.parametrize("workers", [0, 1])
def test_a_request_that_takes_too_long_is_shown_and_answered_503_or_cut(workers: int, tmp_path: Path, certificate: Certificate) -> None:
    listen = endpoints(tmp_path, certificate)
    log = tmp_path / "access"
    with Site("working:app", f"--workers={workers}", "--threads=8", "--request-timeout=2", f"--access-log={log}", listen=listen) as site:
        with contextlib.ExitStack() as stack:
            silent = [stack.enter_context(held(site, tmp_path / f"hold{address}", address=address)) for address in range(3)]
            begun = [stack.enter_context(held(site, tmp_path / f"drip{address}", "/drip", address)) for address in range(3)]
            for wire in silent:
                answer = wire.answer()
                assert (answer.status, answer.closes) == (503, True)
                assert wire.rest() == b""
            for wire in begun:
                assert wire.rest().endswith(b"first\r\n"), "and no last chunk"
            for address in range(3):
                assert about(site, address=address)["pid"]
        assert site.log.count("takes longer than --request-timeout=2") == 6
        assert site.log.count("working.py:") >= 6 and "wait_here" in site.log
        eventually(lambda: log.read_text().count('" 503 ') == 3, "the access log does not say what the client heard")


def test_a_crash_loop_ends_the_process_with_a_line(tmp_path: Path) -> None:
    trouble = tmp_path / "trouble"
    with Site("working:app", "--workers=1", env={"WORKING_TROUBLE": str(trouble)}) as site:
        trouble.write_text("deadly")
        os.kill(site.children[0], signal.SIGKILL)
        assert site.wait() == 1
        assert "hendrix: error: worker 1 died, as 6 did in 10 s: pid" in site.log


def test_workers_answer_what_they_have_and_leave_when_their_parent_is_killed(tmp_path: Path) -> None:
    with Site("working:app", "--workers=2") as site:
        children = site.children
        with held(site, tmp_path / "here") as busy, connect(site, "tcp") as idle:
            about_wire(idle)
            os.kill(site.pid, signal.SIGKILL)
            assert idle.rest() == b""
            eventually(lambda: refuses(site), "they go on to listen")
            (tmp_path / "here").unlink()
            assert busy.answer().status == 200
        eventually(lambda: all(map(gone, children)), "they do not leave")
        site.wait()


def test_a_worker_that_is_told_to_end_is_replaced() -> None:
    with Site("working:app", "--workers=1") as site:
        old = site.children[0]
        os.kill(old, signal.SIGTERM)
        eventually(lambda: len(site.children) == 1 and old not in site.children, "it is not replaced")
        assert about(site)["pid"] == site.children[0]


def test_sigttin_and_sigttou_change_their_number() -> None:
    with Site("working:app", "--workers=1") as site:
        os.kill(site.pid, signal.SIGTTIN)
        eventually(lambda: len(site.children) == 2, "there is none more")
        site.wait_for_log("2 workers")
        os.kill(site.pid, signal.SIGTTOU)
        eventually(lambda: len(site.children) == 1, "there is none less")
        os.kill(site.pid, signal.SIGTTOU)
        assert about(site)["pid"] in site.children


def test_after_so_many_requests_a_worker_is_replaced_and_no_request_lost() -> None:
    with Site("working:app", "--workers=1", "--max-requests=10") as site:
        old = site.children[0]
        with connect(site, "tcp") as wire:
            while True:
                wire.send(get("/"))
                answer = wire.answer()
                assert json.loads(answer.body)["pid"] == old
                if answer.closes:
                    break
        site.wait_for_log("worker 1 is replaced: it has had ")
        eventually(lambda: len(site.children) == 1 and old not in site.children, "it is not replaced")


def test_a_worker_that_has_grown_is_replaced() -> None:
    with Site("working:app", "--workers=1", "--max-rss=150M") as site:
        old = site.children[0]
        about(site, f"/grow?size={200 << 20}")
        site.wait_for_log("of memory")
        eventually(lambda: len(site.children) == 1 and old not in site.children, "it is not replaced")


def test_the_environment_of_the_application_is_that_of_the_parent() -> None:
    with Site("working:app", "--workers=1", env={"PYTHONPATH": "/somewhere"}) as site:
        assert about(site)["path"] == "/somewhere"
        line = Path(f"/proc/{site.children[0]}/cmdline").read_bytes()
        assert line.split(b"\0")[1:] == [b"-m", b"hendrix.workers.child", b""]


def test_web_concurrency_is_the_default() -> None:
    with Site("working:app", env={"WEB_CONCURRENCY": "2"}) as site:
        assert len(site.children) == 2
    with Site("working:app", "--workers=0", env={"WEB_CONCURRENCY": "2"}) as site:
        assert about(site)["pid"] == site.pid


# A start that fails.


@pytest.mark.parametrize("door", ["twistd", "daemon"])
def test_an_application_that_cannot_be_imported_is_exit_code_1_and_a_line(door: Any, tmp_path: Path) -> None:
    trouble = tmp_path / "trouble"
    trouble.write_text("broken")
    code, said = Site("working:app", "--workers=2", door=door, env={"WORKING_TROUBLE": str(trouble)}).run()
    assert code == 1
    assert "RuntimeError: this version is broken" in said
    line = "hendrix: error: --wsgi=working:app: importing working raised RuntimeError: this version is broken; its traceback stands above"
    assert line in said.splitlines()


@pytest.mark.parametrize(
    ("options", "environment", "line"),
    [
        (["--workers=-1"], {}, "--workers=-1: give a whole number from 0 to 512, or auto for one for each core"),
        (["--workers=many"], {}, "--workers=many: give a whole number from 0 to 512, or auto for one for each core"),
        ([], {"WEB_CONCURRENCY": "lots"}, "WEB_CONCURRENCY=lots: give a whole number from 0 to 512, or auto for one for each core"),
        (["--max-requests=5"], {}, "--max-requests=5: only a worker can be replaced; give --workers=1 or more"),
        (["--workers=1", "--max-rss=x"], {}, "--max-rss=x: give a size in bytes from 0 to 1024T, such as 512k or 10M"),
        (["--worker-timeout=-1"], {}, "--worker-timeout=-1: give a number of seconds from 0 to 86400"),
    ],
)
def test_an_option_out_of_range_is_a_line(options: list[str], environment: dict[str, str], line: str, tmp_path: Path) -> None:
    launch = command("twistd", ["--wsgi=working:app", LISTEN, *options], [], tmp_path)
    done = subprocess.run(launch, cwd=APPS, env=os.environ | environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, f"hendrix: error: {line}\n")
