"""A Redis of the tests' own, on a free port, where one is at hand."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

DEADLINE = 30.0


def missing() -> str:
    """What keeps it from starting, or nothing."""
    try:
        import redis  # noqa: F401
    except ImportError:
        return "the client of Redis is not installed: pip install -e .[dev]"
    return "" if shutil.which("redis-server") else "Redis is not installed; on Debian: apt-get install redis-server"


def free_port() -> int:
    """One that nobody has now."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


class RedisServer:
    """It runs from `__enter__` to `__exit__`, and may be killed, stopped and started in between, on the same port.

    :param arguments: of the command, as ``--appendonly yes``.
    :param host: its address.
    :param inside: what is put before the command, to run it in a network namespace.
    """

    def __init__(self, *arguments: str, port: int = 0, host: str = "127.0.0.1", inside: Sequence[str] = ()) -> None:
        self._host, self._inside = host, inside
        self.port = port or free_port()
        self.directory = tempfile.mkdtemp(prefix="hendrix-test-")
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://{self._host}:{self.port}"

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self) -> None:
        command = [*self._inside, "redis-server", "--port", str(self.port), "--bind", self._host, "--save", "", "--dir", self.directory]
        command += self._arguments
        with open(f"{self.directory}/log", "ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + DEADLINE
        while not self._answers():
            assert self._process.poll() is None and time.monotonic() < deadline, Path(self.directory, "log").read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((self._host, self.port), 1.0):
            return True
        return False
