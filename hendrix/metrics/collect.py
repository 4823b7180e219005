"""All metrics of a tree, for ``/metrics``.

What is counted comes from `Totals`; what is now, from the tree, whose numbers go where `hendrix.metrics.families` says, and those that
nobody has thought of into one family for all of them.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from typing import Any

import twisted
from hendrix import __version__
from hendrix.metrics.families import KINDS, NODES, ONCE
from hendrix.metrics.meter import Key, Samples, add
from hendrix.metrics.totals import Totals, summed
from hendrix.tree import Branch

MAIN = "main"
"""The name of the first process, which has the tree."""


class Metrics:
    """:param totals: what is counted.
    :param tree: gives the tree, with the trees of the workers in it.
    """

    def __init__(self, totals: Totals, tree: Callable[[], Branch]) -> None:
        self._totals, self._tree = totals, tree
        self._began = time.monotonic()

    def samples(self) -> Samples:
        """All families."""
        found: Samples = {("info", __version__, platform.python_version(), twisted.__version__): 1}
        found["uptime_seconds",] = time.monotonic() - self._began
        for key, value in of_tree(self._tree()):
            add(found, {key: value})
        return found | summed(self._totals.by_process())


def of_tree(root: Branch) -> Iterator[tuple[Key, float]]:
    """The numbers of all nodes, as samples."""
    for child in root["children"]:
        if child["name"] == "workers":
            yield from _numbers(child, MAIN, "workers")
            for worker in child["children"]:
                yield from _numbers(worker, MAIN, f"workers/{worker['name']}")
                for node in worker["children"]:
                    yield from _nodes(node, worker["name"], "")
        else:
            yield from _nodes(child, MAIN, "")


def _nodes(branch: Branch, process: str, above: str) -> Iterator[tuple[Key, float]]:
    path = f"{above}/{branch['name']}" if above else branch["name"]
    yield from _numbers(branch, process, path)
    for child in branch["children"]:
        yield from _nodes(child, process, path)


def _numbers(branch: Branch, process: str, path: str) -> Iterator[tuple[Key, float]]:
    # By the path and not by the name: a sibling may be called as any other node.
    known, once, kinds = NODES.get(path, {}), ONCE.get(path, {}) if process == MAIN else {}, KINDS.get(path)
    said: dict[str, Any] = {**branch["numbers"]}
    for name, value in said.items():
        if not isinstance(value, (int, float)):
            continue  # a node of somebody's own may say anything, and costs the others nothing
        family = known.get(name)
        if family is not None:
            yield (family[0], process, *family[1:]), value
        elif name in known:
            pass
        elif name in once:
            yield (once[name],), value
        elif kinds is not None:
            if name != path:  # their sum
                yield (kinds, process, name), value
        elif name == "restarts" and path.startswith("siblings/"):
            yield ("sibling_restarts", path.removeprefix("siblings/")), value
        else:
            yield ("node", process, path, name), value
