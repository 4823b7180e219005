"""The command "threads": what each worker thread is doing now."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from hendrix.control.commands import Commands
from hendrix.threads.activity import activities
from hendrix.threads.crew import Crew


def add_threads(commands: Commands, crew: Callable[[], Crew | None], process: str = "hendrix") -> None:
    """Add the command for a process that has a crew of its own. Its answer is a list of processes: this one.

    :param process: the name of the process in the tree.
    """

    def threads(arguments: dict[str, Any]) -> list[dict[str, Any]]:
        running = crew()
        return [
            {"process": process, "pid": os.getpid(), "threads": [asdict(one) for one in activities(running.workers if running else ())]}
        ]

    commands.add("threads", threads, "What each worker thread is doing now, and in which line of the application it is.")
