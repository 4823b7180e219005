"""A PostgreSQL of the tests' own, on a unix socket, where Debian's or another one is at hand."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DEADLINE = 60.0
PLACES = os.pathsep.join([os.environ.get("PATH", ""), *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))])


def missing() -> str:
    """What keeps it from starting, or nothing."""
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "psycopg is not installed: pip install -e .[dev]"
    if not all(shutil.which(name, path=PLACES) for name in ("initdb", "postgres")):
        return "PostgreSQL is not installed; on Debian: apt-get install postgresql"
    return ""


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """Run it; gives the directory of its socket. Its superuser is postgres, who needs no password."""
    user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}  # it refuses to run as root
    directory = tempfile.mkdtemp(prefix="hendrix-test-")
    try:
        if user:
            shutil.chown(directory, "postgres", "postgres")
        os.chmod(directory, 0o711)
        options: dict[str, Any] = {"cwd": directory, "stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT, **user}
        make = [_which("initdb"), "--pgdata=data", "--username=postgres", "--auth=trust", "--no-sync", "--locale=C"]
        subprocess.run(make, stdout=subprocess.DEVNULL, check=True, **options)
        run = [_which("postgres"), "-D", "data", "-k", directory, "-c", "listen_addresses=", "-c", "fsync=off"]
        with open(f"{directory}/log", "wb") as log:
            server = subprocess.Popen(run, stdout=log, **options)
        try:
            _wait_for(server, directory)
            yield directory
        finally:
            server.terminate()  # it waits for its clients
            server.send_signal(2)  # and now breaks their connections
            server.wait(DEADLINE)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def ask(directory: str, query: str) -> Any:
    """The rows of an answer."""
    import psycopg

    with psycopg.connect(host=directory, user="postgres", dbname="postgres", autocommit=True) as connection:
        return connection.execute(query).fetchall()


def _which(name: str) -> str:
    found = shutil.which(name, path=PLACES)
    assert found
    return found


def _wait_for(server: subprocess.Popen[bytes], directory: str) -> None:
    import psycopg

    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            ask(directory, "SELECT 1")
            return
        except psycopg.OperationalError:
            assert server.poll() is None and time.monotonic() < deadline, Path(directory, "log").read_text()
            time.sleep(0.05)
