"""Each way to launch hendrix serves, over TLS too, and ends cleanly; a daemon sheds its privileges."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import get_args

import pytest

import doors
from certificates import Certificate
from harness import CLEAN, Site

DOORS = get_args(doors.Door)
NOBODY = 65534


def owner(pid: int) -> int:
    """The user that a process runs as."""
    return Path(f"/proc/{pid}").stat().st_uid


@pytest.mark.parametrize("door", DOORS)
def test_every_door_serves_and_closes(door: doors.Door) -> None:
    with Site("hello:app", "--threads=2", door=door) as site:
        response = site.get("/voodoo", {"X-Test": "1"})
        assert (response.status, response.text) == (200, "Hello from /voodoo\n")
        assert site.url == f"http://127.0.0.1:{site.port}"
        assert Path(f"/proc/{site.pid}").exists()
        assert site.stop() in CLEAN
    assert not Path(f"/proc/{site.pid}").exists()
    assert not site.directory.exists()


@pytest.mark.parametrize("door", DOORS)
def test_tls_is_served_with_the_whole_chain(door: doors.Door, certificate: Certificate) -> None:
    endpoint = f"ssl:0:interface=127.0.0.1:privateKey={certificate.key}:certKey={certificate.cert}"
    with Site("hello:app", door=door, listen=[endpoint]) as site:
        assert site.url.startswith("https://127.0.0.1:")
        assert site.get("/secret").text == "Hello from /secret\n"
        trusting = ssl.create_default_context(cafile=certificate.authority)
        with trusting.wrap_socket(site.connect(tls=False), server_hostname="localhost") as connection:
            assert connection.version() in ("TLSv1.2", "TLSv1.3")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("door", ["twistd", "daemon", "tac"])
def test_root_sheds_its_privileges_after_it_has_bound(door: doors.Door, tmp_path: Path) -> None:
    listen = [f"unix:{tmp_path}/socket", "tcp:0:interface=127.0.0.1"]
    with Site("whoami:app", door=door, listen=listen, before=[f"--uid={NOBODY}", f"--gid={NOBODY}"]) as site:
        assert owner(site.pid) == NOBODY
        assert (tmp_path / "socket").owner() == "root", "bound before"
        assert site.get("/", address=1).text == f"imported by {NOBODY}, called by {NOBODY}\n"
        assert site.stop() in CLEAN


def test_a_daemon_that_cannot_start_says_so_and_exits_1() -> None:
    code, output = Site("no_such_module:app", door="daemon").run()
    assert code == 1
    assert "hendrix: error: --wsgi=no_such_module:app" in output
