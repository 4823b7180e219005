"""The tree of services as data, and as text for people.

A node is any Twisted service. It is shown by its name, or its class where it has none, and may say more about itself:

- ``describe() -> str``: its state, in one line;
- ``numbers() -> dict[str, int | float]``: the same for machines: what it counts, and what it has now;
- ``branches() -> list[Branch]``: children that live elsewhere, in another process; they come after its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypedDict

from twisted.application.service import IService, IServiceCollection
from twisted.logger import Logger

from hendrix.supervision import name_of

STATE_COLUMN = 27

log = Logger(namespace="hendrix.tree")


class Branch(TypedDict):
    """A node as data: what JSON can say. ``line`` is its state."""

    name: str
    line: str
    numbers: dict[str, int | float]
    children: list[Branch]


def data(root: Any) -> Branch:
    """A service and all that is under it (reactor thread)."""
    service = IService(root)
    own = list(service) if IServiceCollection.providedBy(service) else []
    return {
        "name": name_of(service),
        "line": " ".join(str(_ask(service, "describe", "")).split()),
        "numbers": dict(_ask(service, "numbers", {})),
        "children": [*map(data, own), *_ask(service, "branches", [])],
    }


def _ask(service: Any, question: str, default: Any) -> Any:
    """What one node fails to say costs nobody the others' answers."""
    method = getattr(service, question, None)
    if not callable(method):
        return default
    try:
        return method()
    except Exception:
        log.failure("{name} failed to {question}()", name=name_of(service), question=question)
        return default


def render(branch: Branch) -> str:
    """A line for each node, its state in a column of its own."""
    return "\n".join(_row(*one) for one in _lines(branch, "", ""))


def walk(branch: Branch, path: str = "") -> Iterator[tuple[str, Branch]]:
    """Each node with its path, such as ``hendrix/workers/worker 1/crew``, parents first."""
    path = f"{path}/{branch['name']}" if path else branch["name"]
    yield path, branch
    for child in branch["children"]:
        yield from walk(child, path)


def _row(name: str, line: str) -> str:
    return (f"{name:<{STATE_COLUMN}}{line}" if len(name) < STATE_COLUMN else f"{name}  {line}").rstrip()


def _lines(branch: Branch, first: str, rest: str) -> Iterator[tuple[str, str]]:
    yield first + branch["name"], branch["line"]
    children = branch["children"]
    for child in children[:-1]:
        yield from _lines(child, rest + "├─ ", rest + "│  ")
    for child in children[-1:]:
        yield from _lines(child, rest + "└─ ", rest + "   ")
