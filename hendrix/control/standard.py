"""The commands that every hendrix understands: who it is, its tree, its numbers, and its end."""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import Any

from hendrix import __version__
from hendrix.control.commands import Commands
from hendrix.errors import PeerError
from hendrix.tree import data, walk


def add_standard(commands: Commands, root: Any, reactor: Any) -> None:
    """Add them.

    :param root: of the tree. The process counts as begun now, in the directory in which it is now.
    """
    standard = Standard(root, reactor)
    commands.add("about", standard.about, "The version, the process id, and the directory in which it was started.")
    commands.add("tree", lambda _: data(root), "The tree of services.")
    commands.add("stats", standard.stats, "The numbers of each node of the tree, and their sums over nodes of the same name.")
    commands.add("workers", standard.workers, "How many processes serve, or so many from now on.", {"to": "a number, or +1, -1"})
    commands.add("stop", standard.stop, "Drain and end, as SIGTERM does. The connection is closed when that is done.")


class Standard:
    """What they do."""

    def __init__(self, root: Any, reactor: Any) -> None:
        self._root, self._reactor = root, reactor
        self._directory, self._began = os.getcwd(), time.monotonic()
        self._stopping = False

    def about(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"version": __version__, "pid": os.getpid(), "directory": self._directory, "seconds": self._seconds}

    def stats(self, arguments: dict[str, Any]) -> dict[str, Any]:
        nodes, sums = {}, dict[str, Counter[str]]()
        for path, branch in walk(data(self._root)):
            if branch["numbers"]:
                nodes[path] = branch["numbers"]
                sums.setdefault(branch["name"], Counter()).update(branch["numbers"])
        return {"pid": os.getpid(), "seconds": self._seconds, "nodes": nodes, "sums": sums}

    def workers(self, arguments: dict[str, Any]) -> None:
        """Of a process without any; the node of the workers has a better one."""
        raise PeerError(400, "workers: this process serves by itself; start it with --workers=1 or more")

    def stop(self, arguments: dict[str, Any]) -> dict[str, int]:
        if self._stopping or not self._root.running:
            raise PeerError(400, "stop: it is stopping already")
        self._stopping = True
        self._reactor.callLater(0, self._reactor.stop)
        return {"pid": os.getpid()}

    @property
    def _seconds(self) -> float:
        return round(time.monotonic() - self._began, 3)
