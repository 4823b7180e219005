"""Tasks per second of what else runs work behind a request: Celery with Redis, and the database backend of django-tasks."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from launch import free_port
from machine import BIN, clean_environ
from processes import Process
from servers import APPS_FOLDER

PATIENCE = 60.0  # seconds for each to start, and to run what it has been given


def celery(count: int, core: int) -> float:
    """Return the no-op tasks that a worker of Celery runs in a second, from the first that is sent to the last that has left the queue.

    The worker has as many processes as there are cores, and sends no results. Raises ValueError where it cannot be measured.
    """
    if not shutil.which("redis-server"):
        raise ValueError("redis-server is not installed; on Debian: apt-get install redis-server")
    port = free_port()
    environ = {**clean_environ(APPS_FOLDER), "REDIS": f"redis://127.0.0.1:{port}/0"}
    with tempfile.TemporaryDirectory() as folder:
        words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        with Process(words, core, Path(folder), environ) as server:
            wait_for(server, lambda: socket.create_connection(("127.0.0.1", port), 1).close())
            worker = [f"{BIN}/celery", "-A", "celery_tasks", "worker", "-l", "error", "--without-gossip", "--without-mingle"]
            with Process(worker, None, APPS_FOLDER, environ) as process:
                script = f"import sys; sys.path.append({str(Path(__file__).parent)!r}); import queues; print(queues.send({count}, {port}))"
                command = [sys.executable, "-c", script]
                done = subprocess.run(command, env=environ, cwd=APPS_FOLDER, capture_output=True, text=True, timeout=5 * PATIENCE)
                if done.returncode:
                    raise ValueError(f"{done.stderr[-500:]} {process.output()}")
                return count / float(done.stdout.split()[-1])


def send(count: int, port: int) -> float:
    """Send so many tasks and wait until all have left; return the seconds. In a process that has `REDIS` in its environment."""
    import redis
    from celery_tasks import nothing

    broker = redis.Redis(port=port)

    def run(number: int) -> float:
        before = time.perf_counter()
        for _ in range(number):
            nothing.delay()
        while broker.llen("celery") or broker.hlen("unacked"):
            if time.perf_counter() - before > PATIENCE:
                raise SystemExit("the worker did not run them all")
            time.sleep(0.002)
        return time.perf_counter() - before

    run(100)  # until the worker is there, and warm
    return run(count)


def database(count: int, core: int) -> float:
    """Return the no-op tasks that a worker of django-tasks-db runs in a second, once they are in its database, which is SQLite's.

    Raises ValueError where it cannot be measured.
    """
    with tempfile.TemporaryDirectory() as folder:
        environ = {**clean_environ(APPS_FOLDER), "DATABASE": f"{folder}/database"}
        for words in (["enqueue", str(count)], ["run"]):
            command = ["taskset", "-c", str(core), sys.executable, "database_tasks.py", *words]
            done = subprocess.run(command, env=environ, cwd=APPS_FOLDER, capture_output=True, text=True, timeout=5 * PATIENCE)
            if done.returncode:
                raise ValueError(done.stderr[-500:])
        return count / float(done.stdout.split()[-1])


def wait_for(process: Process, ask: Callable[[], object]) -> None:
    """Return when `ask` raises no OSError any longer; ValueError if that does not come."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            ask()
            return
        except OSError:
            if not process.alive or time.monotonic() > deadline:
                raise ValueError(process.output()) from None
            time.sleep(0.02)
