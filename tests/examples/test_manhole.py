"""examples/manhole with OpenSSH's client: who has a key looks into the running site, and who has none does not."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Site
from hendrix.client import Client

PATIENCE = 60.0

pytestmark = pytest.mark.skipif(
    not shutil.which("ssh"), reason="ssh is missing, and with it the test of the manhole: apt-get install openssh-client"
)


class Manhole:
    """The site, and ssh to it."""

    def __init__(self, site: Site, home: Path, port: int) -> None:
        self.site, self.home, self.port = site, home, port

    def ssh(self, key: str, *more: str) -> subprocess.Popen[bytes]:
        options = ["StrictHostKeyChecking=accept-new", f"UserKnownHostsFile={self.home}/known", "IdentitiesOnly=yes", "BatchMode=yes"]
        words = [word for option in options for word in ("-o", option)]
        command = ["ssh", "-tt", "-F", "none", "-p", str(self.port), "-i", str(self.home / key), *words, *more, "anybody@127.0.0.1"]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.fixture
def manhole(tmp_path: Path, examples: Path) -> Iterator[Manhole]:
    for name in ("key", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    shutil.copy(tmp_path / "key.pub", tmp_path / "authorized_keys")
    serve = "--serve=tcp:0:interface=127.0.0.1=manhole.factory"
    arguments = (serve, f"--control={tmp_path}/control")
    with Site("pages.application", *arguments, cwd=examples / "manhole", env={"MANHOLE_HOME": str(tmp_path)}) as site:
        with Client(f"{tmp_path}/control", PATIENCE) as control:
            servers = next(child for child in control.ask("tree")["children"] if child["name"] == "servers")
        found = re.search(r":(\d+)$", servers["children"][0]["line"])
        assert found
        yield Manhole(site, tmp_path, int(found[1]))


def read_until(process: subprocess.Popen[bytes], end: bytes) -> bytes:
    """What it prints, without the sequences for a terminal."""
    assert process.stdout is not None
    timer = threading.Timer(PATIENCE, process.kill)
    timer.start()
    data = b""
    try:
        while end not in (text := re.sub(rb"\x1b(\[[0-9;?]*[A-Za-z]|.)", b"", data)):
            piece = os.read(process.stdout.fileno(), 65536)
            assert piece, data
            data += piece
    finally:
        timer.cancel()
    return text


def type_in(process: subprocess.Popen[bytes], text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(text.encode())
    process.stdin.flush()


def test_who_has_a_key_is_inside_the_site(manhole: Manhole) -> None:
    assert manhole.site.get("/").text == "Hello, visitor 1\n"
    with manhole.ssh("key") as process:
        read_until(process, b">>> ")
        type_in(process, "pages.visits * 41\r")
        read_until(process, b"\n41")
        type_in(process, "pages.greeting = 'Moin'\r")
        type_in(process, "pages.greeting.upper()\r")
        read_until(process, b"'MOIN'")
        assert manhole.site.get("/").text == "Moin, visitor 2\n"
        type_in(process, "\x04")
        process.wait(PATIENCE)
    key = manhole.home / "manhole_host_key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert "Traceback" not in manhole.site.log


def test_who_has_another_key_is_not(manhole: Manhole) -> None:
    with manhole.ssh("other") as process:
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 255
        assert b"Permission denied (publickey)" in output


def test_the_stop_of_the_site_ends_the_session(manhole: Manhole) -> None:
    with manhole.ssh("key") as process:
        read_until(process, b">>> ")
        os.kill(manhole.site.pid, signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
        manhole.site.wait()
    assert "cut after" not in manhole.site.log
