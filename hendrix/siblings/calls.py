"""Calls to a sibling from any process of the site, over the hub, on a topic of hendrix's own: nobody outside can publish there."""

from __future__ import annotations

from typing import Any

from hendrix.hey_joe import branch
from hendrix.hey_joe.branch import NoHub
from hendrix.siblings.context import Context, Hear


def tell(sibling: str, payload: Any) -> None:
    """Send something to a sibling. Any thread; returns at once. What is sent while it does not run is lost.

    :param sibling: its name in the tree.
    :raises NoHub: this is no process of a running site.
    """
    if branch.current is None:
        raise NoHub(f"the sibling {sibling} cannot be reached: hendrix has not started in this process")
    branch.current.publish(_topic(sibling), payload, own=True)


def told(context: Context, function: Hear) -> None:
    """Have a function called with what this sibling is sent."""
    context.subscribe(_topic(context.name), function)


def _topic(sibling: str) -> str:
    return f"$sibling.{sibling}"
