"""How the nodes of the tree are, as far as their numbers say: for colours, and a word about what is not as it should be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from hendrix.tree import Branch, walk

State = Literal["good", "busy", "bad"]

# Seconds in which a loss or a failure is news.
NEWS = 60

# Counts that should not grow, by the name of their node: what it means when they do.
LOSSES: Mapping[str, Mapping[str, str]] = {
    "crosstown": {"failed": "tasks failed lately", "overflowed": "too many tasks wait: some ran in the middle of requests"},
    "hub": {"missed": "messages were lost lately", "queue_lost": "jobs of queues were lost lately"},
    "access log": {"lost": "lines of the log were lost lately"},
}


class Health:
    """Looks at one tree again and again."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], float] = {}
        self._grew: dict[tuple[str, str], float] = {}

    def look(self, tree: Branch, now: float) -> dict[str, tuple[State, str]]:
        """Of each path in the tree that is not good, its state and a word about it."""
        found: dict[str, tuple[State, str]] = {}
        for path, branch in walk(tree):
            for state, why in [*_now(path, branch), *self._lately(path, branch, now)]:
                if state == "bad" or path not in found:
                    found[path] = (state, why)
        return found

    def _lately(self, path: str, branch: Branch, now: float) -> Iterator[tuple[State, str]]:
        losses: dict[str, str] = {"restarts": "it died lately", **LOSSES.get(branch["name"], {})}
        for count, why in losses.items():
            key, value = (path, count), branch["numbers"].get(count)
            if value is None:
                continue
            if value > self._counts.get(key, value):
                self._grew[key] = now
            self._counts[key] = value
            if now - self._grew.get(key, float("-inf")) < NEWS:
                yield "busy", why


def _now(path: str, branch: Branch) -> Iterator[tuple[State, str]]:
    name, numbers = branch["name"], branch["numbers"]
    if branch["line"] == "down":
        yield "bad", "it does not run"
    if name == "crew" and numbers.get("backlog", 0) > 0 and numbers.get("busy", 0) >= numbers.get("threads", 0):
        yield "busy", "all threads are busy, and requests wait"
    if name == "crosstown" and numbers.get("queued", 0) > 100:
        yield "busy", "many tasks wait"
    if name == "workers" and path.count("/") == 1:
        serving, wanted = numbers.get("serving", 0), numbers.get("workers", 0)
        if not serving:
            yield "bad", "no worker serves"
        elif serving < wanted:
            yield "busy", f"{serving:g} of {wanted:g} workers serve"


def sums(tree: Branch) -> dict[str, dict[str, Any]]:
    """The numbers of all nodes of the same name, added up."""
    total: dict[str, dict[str, Any]] = {}
    for _, branch in walk(tree):
        into = total.setdefault(branch["name"], {})
        for key, value in branch["numbers"].items():
            into[key] = into.get(key, 0) + value
    return total
