"""The tree of services as text for people, or as data for JSON.

A node is any Twisted service. It is shown by its name, or its class where it has none, with what its ``describe()`` says about its
state in one line, if it has that method.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.application.service import IService, IServiceCollection

from hendrix.supervision import name_of

STATE_COLUMN = 27


def render(root: Any) -> str:
    """The tree under ``root``, a line for each service, its state in a column of its own."""
    return "\n".join(f"{branch:<{STATE_COLUMN}}{state}".rstrip() if len(branch) < STATE_COLUMN else f"{branch}  {state}".rstrip()
                     for branch, state in _lines(root, "", ""))  # fmt: skip


def as_dict(root: Any) -> dict[str, Any]:
    """``name``, ``state``, ``running`` and ``children`` of a service, and so on down."""
    service = IService(root)
    return {
        "name": name_of(service),
        "state": state_of(service),
        "running": bool(getattr(service, "running", False)),
        "children": [as_dict(child) for child in children_of(service)],
    }


def state_of(service: object) -> str:
    """What the service says about its state, on one line; empty if it says nothing."""
    describe = getattr(service, "describe", None)
    return " ".join(str(describe()).split()) if callable(describe) else ""


def children_of(service: object) -> list[Any]:
    return list(service) if IServiceCollection.providedBy(service) else []


def _lines(root: Any, first: str, rest: str) -> Iterator[tuple[str, str]]:
    service = IService(root)
    yield first + name_of(service), state_of(service)
    children = children_of(service)
    for child in children[:-1]:
        yield from _lines(child, rest + "├─ ", rest + "│  ")
    for child in children[-1:]:
        yield from _lines(child, rest + "└─ ", rest + "   ")
