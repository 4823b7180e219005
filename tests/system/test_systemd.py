"""Under a service manager: what it is told, and the sockets that it hands over. systemd's part is played by the test."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import APPS, CLEAN, Site

TWISTD = f"{sysconfig.get_path('scripts')}/twistd"
# LISTEN_PID is the process that systemd has forked, after which it executes the service.
EXEC = """
import os, sys
count, names = int(sys.argv[1]), sys.argv[2]
for target in range(count):
    os.dup2(100 + target, 3 + target)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count), LISTEN_FDNAMES=names)
os.execv(sys.argv[3], sys.argv[3:])
"""


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s")


def heard(manager: socket.socket, line: str) -> list[str]:
    """Wait for a datagram with that line; gives all of its lines."""
    while True:
        lines = manager.recv(4096).decode().splitlines()
        if line in lines:
            return lines


def test_the_manager_hears_of_the_start_of_life_and_of_the_end(short: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(short / "notify"))
        manager.settimeout(60)
        with Site("hello:app", env={"NOTIFY_SOCKET": str(short / "notify"), "WATCHDOG_USEC": "400000"}) as site:
            heard(manager, "READY=1")
            status = next(line for line in heard(manager, "WATCHDOG=1") if line.startswith("STATUS="))
            assert status == f"STATUS=8 threads (0 busy, backlog 0); hello:app on {site.addresses[0]}"
            for _ in range(3):
                heard(manager, "WATCHDOG=1")
            site.stop()
            heard(manager, "STOPPING=1")


def test_a_start_that_fails_is_never_ready(short: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(short / "notify"))
        manager.settimeout(0)
        code, _ = Site("hello:no_such", env={"NOTIFY_SOCKET": str(short / "notify")}).run()
        assert code == 1
        with pytest.raises(BlockingIOError):
            heard(manager, "READY=1")


@contextmanager
def activated(sockets: dict[str, socket.socket], *options: str, here: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A hendrix to which these sockets are handed over."""
    for number, each in enumerate(sockets.values()):
        os.dup2(each.fileno(), 100 + number)
    fds = range(100, 100 + len(sockets))
    serve = [TWISTD, "--nodaemon", "--pidfile=", "hendrix", "--wsgi=hello:app", "--control=off", *options]
    with (here / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", EXEC, str(len(sockets)), ":".join(sockets), *serve],
            cwd=APPS,
            pass_fds=tuple(fds),
            stdout=log,
            stderr=log,
        )
    for fd in fds:
        os.close(fd)
    try:
        yield process
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) in CLEAN, (here / "log").read_text()
    finally:
        process.kill()
        process.wait()


def asked(family: int, address: object) -> bytes:
    """The answer to a request; the kernel holds the connection until somebody serves it."""
    with socket.socket(family) as client:
        client.settimeout(60)
        client.connect(address)
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = b""
        while data := client.recv(65536):
            answer += data
    return answer


def test_all_sockets_that_are_handed_over_are_served_and_outlive_the_service(short: Path) -> None:
    path = str(short / "http")
    with socket.create_server(("127.0.0.1", 0)) as web, socket.socket(socket.AF_UNIX) as local:
        local.bind(path)
        local.listen()
        places = [(socket.AF_INET, web.getsockname()), (socket.AF_UNIX, path)]
        for _ in range(2):
            with activated({"web": web, "local": local}, "--listen=systemd", here=short):
                for family, address in places:
                    assert asked(family, address).startswith(b"HTTP/1.1 200")
        assert os.path.exists(path), "it is systemd's"


def test_one_is_chosen_by_its_name(short: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as web, socket.create_server(("127.0.0.1", 0)) as other:
        ports = f"--port-file={short / 'ports'}"
        with activated({"other": other, "web": web}, "--listen=systemd:web", ports, here=short):
            assert asked(socket.AF_INET, web.getsockname()).startswith(b"HTTP/1.1 200")
            deadline = time.monotonic() + 60
            while not (short / "ports").exists():
                assert time.monotonic() < deadline
            assert (short / "ports").read_text() == f"tcp:127.0.0.1:{web.getsockname()[1]}\n"


@pytest.mark.parametrize(
    ("listen", "line"),
    [
        ("systemd:wbe", "--listen=systemd:wbe: systemd has handed over no socket of that name; there is web"),
        ("systemd", "--listen=systemd: the file descriptor 3 is no listening stream socket; use ListenStream="),
    ],
)
def test_what_is_not_there_or_no_listening_socket_is_an_error(listen: str, line: str, short: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        with activated({"web": datagrams}, f"--listen={listen}", here=short) as process:
            assert process.wait(60) == 1
        assert f"hendrix: error: {line}" in (short / "log").read_text()
