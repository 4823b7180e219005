"""Functions that go to worker processes, and a site that sends them there."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

from hendrix import crosstown_traffic


def add(a: int, b: int) -> int:
    return a + b


def where() -> int:
    return os.getpid()


def crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave() -> None:
    os._exit(3)


def crash_with_heir(path: str) -> None:
    """Die, and leave a child that has the connection too."""
    pid = os.fork()
    if not pid:
        time.sleep(120)
        os._exit(0)
    Path(path).write_text(str(pid))
    crash()


def wait_for(path: str) -> int:
    deadline = time.monotonic() + 60
    while not Path(path).exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return os.getpid()


def touch_and_wait(mine: str, other: str) -> int:
    Path(mine).touch()
    return wait_for(other)


def report_and_hang() -> None:
    path = Path(os.environ["JOBS_DIR"])
    (path / "new").write_text(str(os.getpid()))
    (path / "new").rename(path / "began")
    time.sleep(120)


def fail(text: str) -> None:
    raise ValueError(text)


class Stubborn(Exception):
    """Can be pickled, but not made again."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(a)


def fail_stubbornly() -> None:
    raise Stubborn(1, 2)


def leave_politely() -> None:
    raise SystemExit(4)


def generator() -> object:
    return (each for each in ())


def ignores_signals() -> bool:
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    return True


def django_is_ready() -> bool:
    from django.apps import apps

    return apps.ready


def append(path: str, line: str) -> None:
    with open(path, "a") as file:
        file.write(line + "\n")


def slowly_append(path: str, line: str) -> None:
    time.sleep(0.05)
    append(path, line)


def app(environ, start_response):
    """/NAME/ARGUMENTS... queues a function of this module for a process."""
    _, name, *arguments = environ["PATH_INFO"].split("/")
    handles = []
    try:
        if name == "many":
            log = os.environ["JOBS_LOG"]
            handles = [crosstown_traffic(partial(slowly_append, log, str(n)), process=True, serial=True) for n in range(10)]
        else:
            handles = [crosstown_traffic(partial(globals()[name], *arguments), process=True, name=name)]
        said = ", ".join(handle.state for handle in handles)
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [said.encode()]
