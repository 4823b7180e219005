"""Start a server of the table, on a port of its own, and wait until it answers."""

from __future__ import annotations

import random
import socket

from load import wait_until_ready
from machine import clean_environ
from processes import Process
from servers import APPS_FOLDER, App


def launch(command: list[str], app: App, port: int, core: int | None, mode: str) -> Process:
    """Return the running server, answering. Raise ValueError, with what it printed, if it does not answer rightly."""
    process = Process(command, core, APPS_FOLDER, clean_environ(APPS_FOLDER))
    try:
        wait_until_ready(process, port, app, mode)
    except BaseException:
        process.stop()
        raise
    return process


def free_port() -> int:
    """Return a free port below those that clients get, so that none of wrk's many connections, some still in TIME_WAIT, has it."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
