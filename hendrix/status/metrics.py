"""``/metrics`` for Prometheus, and the same numbers for the live page.

What is counted comes from `Totals`; what is now, from the tree, whose numbers go where `hendrix.status.families` says, and those that
nobody has thought of into one family for all of them.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import twisted
from hendrix import __version__
from hendrix.buckets import BOUNDS, empty
from hendrix.status.families import KINDS, NODES, ONCE
from hendrix.status.meter import Key, Samples, add
from hendrix.status.totals import Totals, summed
from hendrix.tree import Branch

if TYPE_CHECKING:
    from hendrix.status.web import Answer

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

    def page(self) -> Answer:
        """The answer to ``GET /metrics``: Prometheus' text."""
        from hendrix.status.web import Answer

        try:
            from hendrix.status.prometheus import MEDIA_TYPE, text
        except ImportError:
            return Answer("text/plain", b"/metrics needs prometheus-client: pip install 'hendrix[metrics]'\n", 501)
        return Answer(MEDIA_TYPE, text(self.samples()))

    def snapshot(self) -> dict[str, Any]:
        """For the live page: the counts so far, of each process and in sum.

        ``bounds`` are the upper ends of the ranges of histograms; ``latency`` and ``wait`` are counts for these, and one more for what is
        above the last; ``latency_sum`` and ``wait_sum`` are in seconds. ``requests`` are rows of method, status, route and count; ``tasks``
        of name, state and count; ``now`` has the gauges as rows of family, labels and value.
        """
        processes = self._totals.by_process()
        total = summed(processes)
        return {
            "at": time.time(),
            "bounds": list(BOUNDS),
            "processes": {name: _digest(samples) for name, samples in processes.items()},
            "sum": _digest(total),
            "requests": [[*key[1:], value] for key, value in total.items() if key[0] == "requests"],
            "tasks": [[*key[1:], value] for key, value in total.items() if key[0] == "crosstown_tasks"],
            "now": [[key[0], list(key[1:]), value] for key, value in of_tree(self._tree())],
        }


def _digest(samples: Samples) -> dict[str, Any]:
    latency, wait, requests = empty(), samples.get(("request_wait_seconds",), empty()), 0.0
    errors = 0.0
    for key, value in samples.items():
        if key[0] == "request_seconds" and isinstance(value, list):
            latency = [one + other for one, other in zip(latency, value)]
        elif key[0] == "requests" and not isinstance(value, list):
            requests += value
            errors += value if key[2][:1] == "5" else 0
    assert isinstance(wait, list)
    return {
        "requests": int(requests),
        "errors": int(errors),
        "latency": latency[1:],
        "latency_sum": latency[0],
        "wait": wait[1:],
        "wait_sum": wait[0],
        "received": samples.get(("request_content_bytes",), 0),
        "sent": samples.get(("response_content_bytes",), 0),
        "cpu_seconds": samples.get(("cpu_seconds",), 0),
    }


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
    for name, value in branch["numbers"].items():
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
