"""The client's checks, and what is read of a process tree, with a small server of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from idle import measure_idle
from launch import free_port, launch
from load import CLOSE, KEEP_ALIVE, probe
from processes import Process, all_stats
from servers import APPS, APPS_FOLDER, SERVERS, App

SERVER = """
import asyncio, subprocess, sys
kind, port = sys.argv[1], int(sys.argv[2])
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)

async def serve(reader, writer):
    while True:
        try:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
        except (OSError, asyncio.IncompleteReadError):
            break
        body = b"Wrong!\\n" if kind == "wrong" else b"Hello, world!\\n"
        length = b"" if kind == "endless" else b"Content-Length: %d\\r\\n" % len(body)
        status = b"500 Oh" if kind == "failing" else b"200 OK"
        writer.write(b"HTTP/1.1 " + status + b"\\r\\n" + length + b"\\r\\n" + body)
        if b"Connection: close" in head and kind != "holding":
            break
    writer.close()

async def main():
    if kind == "raising":
        raise ValueError("no such app")
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    await server.serve_forever()

asyncio.run(main())
"""


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[list[Process]]:
    """What to end after the test."""
    started: list[Process] = []
    yield started
    for process in started:
        process.stop()


def serve(kind: str, processes: list[Process]) -> int:
    """Start the small server; return its port, on which it listens."""
    port = free_port()
    process = Process([sys.executable, "-c", SERVER, kind, str(port)], min(os.sched_getaffinity(0)), Path.cwd(), dict(os.environ))
    processes.append(process)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            probe(port, App("any", "any", b""), CLOSE)
        except ConnectionError:
            time.sleep(0.02)
        except (OSError, ValueError):
            break
    return port


@pytest.mark.parametrize("mode", [KEEP_ALIVE, CLOSE])
def test_a_right_answer_and_its_size(mode: str, processes: list[Process]) -> None:
    assert probe(serve("right", processes), APPS["bare"], mode) == len("HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\nHello, world!\n")


@pytest.mark.parametrize(
    ("kind", "message"), [("wrong", "answered b'Wrong"), ("endless", "no Content-Length"), ("failing", "500"), ("holding", "timed out")]
)
def test_a_wrong_answer_is_a_fault(kind: str, message: str, processes: list[Process]) -> None:
    port = serve(kind, processes)
    with pytest.raises((ValueError, TimeoutError), match=message):
        probe(port, APPS["bare"], CLOSE)


def test_the_whole_tree_is_measured_and_ended(processes: list[Process]) -> None:
    serve("right", processes)
    (process,) = processes
    tree = process.tree()
    assert len(tree) == 2
    assert process.cpu() > 0
    assert process.pss() > 1000  # KiB: two interpreters
    process.stop()
    deadline = time.monotonic() + 10
    while any(pid in tree and fields[0] != "Z" for pid, fields in all_stats()):  # a zombie is for init to reap
        assert time.monotonic() < deadline, "a process of the server lives on"
        time.sleep(0.01)


def test_a_server_that_does_not_start_says_why() -> None:
    command = [sys.executable, "-c", SERVER, "raising", "0"]
    with pytest.raises(ValueError, match="no such app"):
        launch(command, APPS["bare"], free_port(), min(os.sched_getaffinity(0)), KEEP_ALIVE)


def test_idle_connections_are_counted(processes: list[Process]) -> None:
    port = serve("right", processes)
    idle = measure_idle(processes[0], port, APPS["bare"], 40)
    assert (idle.connections, idle.descriptors, idle.left, idle.alive) == (40, 1.0, 0, True)
    assert 0 < idle.p50 <= idle.worst


CALL = """
import importlib, sys
from wsgiref.util import setup_testing_defaults
sys.path.insert(0, "")
environ = {}
setup_testing_defaults(environ)
answers = []
body = b"".join(importlib.import_module(sys.argv[1]).application(environ, lambda status, headers, exc_info=None: answers.append(status)))
sys.stdout.buffer.write(answers[0].encode() + b"\\n" + body)
"""


@pytest.mark.parametrize("app", APPS.values(), ids=list(APPS))
def test_each_app_gives_the_answer_that_is_checked(app: App) -> None:
    pytest.importorskip({"flask": "flask", "django": "django"}.get(app.name, "sys"))
    # In a process of its own: Django has one set of settings for each.
    answer = subprocess.run([sys.executable, "-c", CALL, app.module], cwd=APPS_FOLDER, stdout=subprocess.PIPE, check=True).stdout
    status, _, body = answer.partition(b"\n")
    assert status == b"200 OK"
    assert app.is_right(body)
    assert not app.is_right(body[:-3])


@pytest.mark.parametrize("server", SERVERS.values(), ids=list(SERVERS))
@pytest.mark.parametrize("closing", [False, True])
def test_every_command_has_the_app_and_the_port(server: object, closing: bool) -> None:
    words = server.command("bare", 12345, 8, closing)  # type: ignore[attr-defined]
    assert any("12345" in word for word in words)
    assert any(word in ("bare:application", "bare.application", "--wsgi=bare.application") for word in words)
    assert not any("{" in word for word in words)
    assert "/dev/null" not in words  # twistd would rotate it
