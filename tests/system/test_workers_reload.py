"""SIGHUP and SIGUSR1: new code, new certificates, new log files, and no request lost on the way."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import chaos
import pytest
from pressure import connect, endpoints, eventually, get

import certificates
from certificates import Certificate
from harness import Site


def about(site: Site, address: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(site.get("/", address=address).body)
    return found


def reload(site: Site, expected: str = "reloaded: ") -> None:
    before = site.log.count(expected)
    os.kill(site.pid, signal.SIGHUP)
    eventually(lambda: site.log.count(expected) > before, f"it does not say {expected}")


@pytest.fixture
def trouble(tmp_path: Path) -> Path:
    """The version of the application."""
    file = tmp_path / "trouble"
    file.write_text("1")
    return file


def test_new_code_serves_and_what_the_old_has_is_answered(trouble: Path, tmp_path: Path, certificate: Certificate) -> None:
    listen = endpoints(tmp_path, certificate)
    with Site("working:app", "--workers=2", listen=listen, env={"WORKING_TROUBLE": str(trouble)}) as site:
        old = site.children
        with contextlib.ExitStack() as stack:
            idle = [stack.enter_context(connect(site, place)) for place in ("tcp", "unix", "tls")]
            fresh = [stack.enter_context(connect(site, place)) for place in ("tcp", "unix", "tls")]
            busy = stack.enter_context(connect(site, "tcp"))
            for wire in idle:
                wire.send(get("/"))
                assert not wire.answer().closes
            here = tmp_path / "here"
            busy.send(get(f"/hold?here={here}"))
            eventually(lambda: here.exists() and here.read_text() != "", "the request does not reach the application")
            trouble.write_text("2")
            reload(site)
            for address in range(3):
                eventually(lambda address=address: about(site, address)["version"] == "2", "the new ones do not serve")  # type: ignore[misc]
            for wire in [*idle, *fresh]:
                wire.send(get("/"))
                answer = wire.answer()
                found = json.loads(answer.body)
                if wire in idle:
                    assert (found["version"], found["pid"] in old, answer.closes) == ("1", True, True)
                assert answer.closes == (found["version"] == "1")
                assert not answer.closes or wire.rest() == b""
            here.unlink()
            answer = busy.answer()
            assert (json.loads(answer.body)["version"], answer.closes) == ("1", True)
        eventually(lambda: len(site.children) == 2, "the old ones do not leave")
        assert not set(old) & set(site.children)
        assert "Traceback" not in site.log


def test_on_uvloop_too(trouble: Path) -> None:
    with Site("working:app", "--workers=1", before=["--reactor=uvloop"], env={"WORKING_TROUBLE": str(trouble)}) as site:
        old = about(site)["pid"]
        reload(site)
        eventually(lambda: old not in site.children, "the old one does not leave")
        assert about(site)["pid"] in site.children


def test_an_idle_connection_is_kept_until_the_end_of_the_grace(trouble: Path) -> None:
    with Site("working:app", "--workers=1", "--grace=2", env={"WORKING_TROUBLE": str(trouble)}) as site:
        with connect(site, "tcp") as wire:
            wire.send(get("/"))
            wire.answer()
            began = time.monotonic()
            reload(site)
            assert wire.rest() == b""
            assert time.monotonic() - began > 1.4
        eventually(lambda: len(site.children) == 1, "the old one does not leave")


def test_code_that_cannot_be_imported_is_shown_and_the_old_workers_go_on(trouble: Path) -> None:
    with Site("working:app", "--workers=2", env={"WORKING_TROUBLE": str(trouble)}) as site:
        old = set(site.children)
        trouble.write_text("broken")
        reload(site, "the reload failed, and the old workers go on")
        assert "RuntimeError: this version is broken" in site.log
        assert site.log.count("raise RuntimeError") == 1, "one new worker is tried before the others"
        eventually(lambda: set(site.children) == old, "they do not go on")
        assert about(site)["version"] == "1"
        trouble.write_text("2")
        reload(site)
        assert about(site)["version"] == "2"


def test_a_replacement_that_cannot_be_imported_is_tried_again_and_the_others_go_on(trouble: Path) -> None:
    with Site("working:app", "--workers=2", env={"WORKING_TROUBLE": str(trouble)}) as site:
        trouble.write_text("broken")
        killed, other = site.children
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: site.log.count("worker 1 died") + site.log.count("worker 2 died") >= 3, "it is not tried again")
        assert about(site)["pid"] == other
        trouble.write_text("2")
        eventually(lambda: len(site.children) == 2 and about(site)["version"] == "2", "it does not come back")
        assert other in site.children


def test_reloads_in_a_row_are_one_after_another_and_none_is_forgotten(trouble: Path) -> None:
    with Site("working:app", "--workers=1", env={"WORKING_TROUBLE": str(trouble)}) as site:
        os.kill(site.pid, signal.SIGHUP)
        site.wait_for_log("worker 1 is replaced: reload")
        trouble.write_text("2")
        for _ in range(5):
            os.kill(site.pid, signal.SIGHUP)
        eventually(lambda: about(site)["version"] == "2", "the last one is forgotten")
        eventually(lambda: site.log.count("reloaded: ") == 2, "they are not made one")


@pytest.mark.parametrize("workers", [0, 1])
def test_certificates_are_read_again(workers: int, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    first, second = certificates.make(tmp_path_factory.mktemp("1")), certificates.make(tmp_path_factory.mktemp("2"))
    key, cert = shutil.copy(first.key, tmp_path / "key.pem"), shutil.copy(first.cert, tmp_path / "cert.pem")
    with Site("working:app", f"--workers={workers}", listen=[f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={cert}"]) as site:
        before = certificate_of(site)
        Path(cert).write_text("nonsense")
        reload(site, "there is no certificate in PEM in it")
        eventually(lambda: certificate_of(site) == before, "what there was does not stay in use")
        shutil.copy(second.key, key)
        shutil.copy(second.cert, cert)
        os.kill(site.pid, signal.SIGHUP)
        eventually(lambda: certificate_of(site) != before, "the new one is not used")
        assert about(site)["wsgi.url_scheme"] == "https"
        if not workers:
            assert "new code needs a restart, or --workers=1 or more" in site.log
        Path(key).unlink()
        reload(site, "the certificate that was read before stays in use")
        reload(site, "reloaded: " if workers else "read anew: ")
        assert about(site)["wsgi.url_scheme"] == "https"


def certificate_of(site: Site) -> str:
    return ssl.get_server_certificate(("127.0.0.1", site.port))


NOBODY = 65534


def can_run_python(user: int) -> bool:
    try:
        return subprocess.run([sys.executable, "-c", "import hendrix"], user=user, cwd="/", capture_output=True).returncode == 0
    except PermissionError:
        return False


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_key_that_only_root_may_read_stays_in_use_after_privileges_are_shed(tmp_path: Path, certificate: Certificate) -> None:
    secret = tmp_path / "secret"
    secret.mkdir(0o700)
    key = shutil.copy(certificate.key, secret / "key.pem")
    listen = [f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={certificate.cert}"]
    site = Site("working:app", "--workers=1", door="daemon", before=[f"--uid={NOBODY}"], listen=listen)
    if not can_run_python(NOBODY):
        code, said = site.run()
        assert code == 1
        assert f"hendrix: error: workers are processes of the user {NOBODY}, who may not run " in said
        return
    with site:
        child = site.children[0]
        assert os.stat(f"/proc/{child}").st_uid == NOBODY
        assert about(site)["wsgi.url_scheme"] == "https"
        reload(site, "Permission denied; give a file in PEM that this user may read; the certificate that was read before stays in use")
        site.wait_for_log("reloaded: ")
        assert about(site)["pid"] != child


@pytest.mark.parametrize("workers", [0, 2])
def test_sigusr1_opens_the_access_log_anew(workers: int, tmp_path: Path) -> None:
    log, moved = tmp_path / "access", tmp_path / "moved"
    with Site("working:app", f"--workers={workers}", f"--access-log={log}") as site:
        site.get("/?before")
        eventually(lambda: "before" in log.read_text(), "nothing is logged")
        log.rename(moved)
        os.kill(site.pid, signal.SIGUSR1)
        eventually(log.exists, "it is not opened anew")
        site.get("/?after")
        eventually(lambda: "after" in log.read_text(), "nothing is logged")
        assert "after" not in moved.read_text()


@pytest.mark.parametrize("workers", [0, 1])
def test_sigusr1_opens_the_log_of_twistd_anew_when_it_was_moved_away(workers: int) -> None:
    with Site("working:app", f"--workers={workers}", door="daemon") as site:
        moved = site.log_file.with_suffix(".moved")
        site.log_file.rename(moved)
        os.kill(site.pid, signal.SIGUSR1)
        eventually(site.log_file.exists, "it is not opened anew")
        os.kill(site.pid, signal.SIGHUP)
        site.wait_for_log("reloaded: " if workers else "read anew: ")


FORWARDED = """
from hendrix import HendrixDeploy
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IStreamServerEndpoint
from zope.interface import implementer


@implementer(IStreamServerEndpoint)
class Elsewhere:
    description = "elsewhere:80"

    def listen(self, factory):
        return TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)


HendrixDeploy(options={keywords!r} | {{"listen": [Elsewhere()]}}).run()
"""


def test_an_endpoint_that_no_other_process_can_have_is_forwarded(tmp_path: Path) -> None:
    site = Site("working:app", "--workers=2", "--threads=4", door="deploy", listen=[])
    script = Path(site.command[1])
    keywords = eval(script.read_text().partition("options=")[2].partition(").run")[0])
    script.write_text(FORWARDED.format(keywords=keywords))
    with site:
        with connect(site, "tcp") as wire:
            for _ in range(3):
                wire.send(get("/"))
                found = json.loads(wire.answer().body)
                assert (found["pid"] in site.children, found["REMOTE_ADDR"]) == (True, "127.0.0.1")
            reload(site)
            wire.send(get("/"))
            assert wire.answer().closes
            assert wire.rest() == b""
        assert {about(site)["pid"] for _ in range(40)} <= set(site.children)
        large = 3_000_000
        body = site.request("POST", "/echo", b"x" * large).body
        assert len(body) == large


def test_under_load_reloads_lose_nothing_and_killed_workers_only_what_they_had() -> None:
    chaos.wreak(workers=2, reloads=3, kills=2)
