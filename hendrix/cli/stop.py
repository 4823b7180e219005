"""``hx stop``: drain it, and wait for its end."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from hendrix.cli.asking import Asking, ask

# Seconds between the end of its services and its own.
PATIENCE = 10.0


def run(words: Sequence[str]) -> None:
    """Return when the process has ended."""
    options = Asking()
    options.parseOptions(words)
    with options.client(None) as client:
        pid = ask(client, "stop")["pid"]
        print(f"stopping process {pid}: requests in flight are answered first", flush=True)
        client.wait()
    deadline = time.monotonic() + PATIENCE  # by the number: it may be another process's where ours are not its numbers, in a container
    while _lives(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    print("stopped")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except OSError:
        return os.path.isdir("/proc/1")  # it has gone in between; where there is no /proc it lives
