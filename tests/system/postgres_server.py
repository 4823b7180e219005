"""A PostgreSQL of the tests' own on a free port, that may be killed, stopped and started."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from postgresql import DEADLINE, PLACES, missing
from redis_server import free_port

__all__ = ["PostgresServer", "missing"]


class PostgresServer:
    """It runs from `__enter__` to `__exit__`, and may be killed, stopped and started in between, on the same port.

    :param settings: of the server, as ``max_connections=20``.
    :param auth: how users are known: ``trust`` or ``scram-sha-256``, then with the password ``sekret``.
    """

    def __init__(self, *settings: str, auth: str = "trust") -> None:
        self.port = free_port()
        self._settings, self._auth = settings, auth
        self._user: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
        self.directory = tempfile.mkdtemp(prefix="hendrix-test-")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def __enter__(self) -> PostgresServer:
        if self._user:
            shutil.chown(self.directory, "postgres", "postgres")
        os.chmod(self.directory, 0o711)
        Path(self.directory, "password").write_text("sekret\n")
        os.chmod(f"{self.directory}/password", 0o644)
        self._run(
            "initdb", "--pgdata=data", "--username=postgres", f"--auth={self._auth}", "--pwfile=password", "--no-sync", "--locale=C",
            "--encoding=UTF8",
        )  # fmt: skip
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self) -> None:
        settings = ["listen_addresses=127.0.0.1", f"port={self.port}", "fsync=off", *self._settings]
        command = [_which("postgres"), "-D", "data", "-k", self.directory, *(word for setting in settings for word in ("-c", setting))]
        with open(f"{self.directory}/log", "ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.directory, start_new_session=True, **self._user
            )
        deadline = time.monotonic() + DEADLINE
        while not self._answers():
            assert self._process.poll() is None and time.monotonic() < deadline, Path(self.directory, "log").read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        """As an administrator does, who waits for nobody."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait(DEADLINE)
        self._process = None

    def kill(self) -> None:
        """As if it had lost its power."""
        if self._process is not None:
            for pid in self._pids():
                os.kill(pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
            deadline = time.monotonic() + DEADLINE
            while self._left():
                assert time.monotonic() < deadline, "a process of PostgreSQL does not end"
                time.sleep(0.02)

    def freeze(self) -> None:
        self._pids_frozen = self._pids()
        for pid in self._pids_frozen:
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in reversed(self._pids_frozen):
            os.kill(pid, signal.SIGCONT)

    def ask(self, query: str, *arguments: Any, user: str = "postgres") -> list[Any]:
        """The rows of an answer."""
        import psycopg

        with psycopg.connect(f"postgresql://{user}:sekret@127.0.0.1:{self.port}/postgres", autocommit=True) as connection:
            cursor = connection.execute(query, arguments or None)
            return cursor.fetchall() if cursor.description else []

    def _pids(self) -> list[int]:
        """Of the server and of those that it has started."""
        assert self._process is not None
        self._children = [int(pid) for pid in Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()]
        return [self._process.pid, *self._children]

    def _left(self) -> bool:
        return any(Path(f"/proc/{pid}/exe").exists() for pid in self._children)

    def _answers(self) -> bool:
        import psycopg

        try:
            self.ask("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, name: str, *arguments: str) -> None:
        command = [_which(name), *arguments]
        options: dict[str, Any] = {"cwd": self.directory, "stdin": subprocess.DEVNULL, "capture_output": True, "text": True, **self._user}
        made = subprocess.run(command, check=False, **options)
        assert made.returncode == 0, made.stderr


def _which(name: str) -> str:
    found = shutil.which(name, path=PLACES)
    assert found
    return found
