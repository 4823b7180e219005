"""A PostgreSQL of the tests' own on a free port, that may be killed, stopped and started."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
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
        password = "" if self._auth == "trust" else ":sekret"
        return f"postgresql://postgres{password}@127.0.0.1:{self.port}/postgres"

    def __enter__(self) -> PostgresServer:
        self._give_away(self.directory)
        shutil.copytree(_template(self._auth, self._give_away, self._user), f"{self.directory}/data")
        for path in Path(self.directory, "data").rglob("*"):
            self._give_away(str(path), None)
        self._give_away(f"{self.directory}/data", 0o700)
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

    def _give_away(self, path: str, mode: int | None = 0o711) -> None:
        """PostgreSQL refuses to run as root."""
        if self._user:
            shutil.chown(path, "postgres", "postgres")
        if mode is not None:
            os.chmod(path, mode)


@functools.cache
def _made(auth: str) -> str:
    """A directory that goes when the tests end."""
    directory = tempfile.mkdtemp(prefix="hendrix-test-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


def _template(auth: str, give_away: Callable[[str], None], user: dict[str, Any]) -> str:
    """The data of a server that has never run: to make them takes longer than to copy them."""
    directory = _made(auth)
    if not Path(directory, "data").exists():
        give_away(directory)
        Path(directory, "password").write_text("sekret\n")
        os.chmod(f"{directory}/password", 0o644)
        command = [_which("initdb"), "--pgdata=data", "--username=postgres", f"--auth={auth}", "--pwfile=password", "--no-sync"]
        options: dict[str, Any] = {"cwd": directory, "stdin": subprocess.DEVNULL, "capture_output": True, "text": True, **user}
        made = subprocess.run([*command, "--locale=C", "--encoding=UTF8"], check=False, **options)
        assert made.returncode == 0, made.stderr
    return f"{directory}/data"


def _which(name: str) -> str:
    found = shutil.which(name, path=PLACES)
    assert found
    return found
