"""``hx stats``: its numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hendrix.cli.asking import Asking, ask, duration


class Options(Asking):
    optFlags = [["json", None, "As JSON, and for each node of the tree."]]


def run(words: Sequence[str]) -> None:
    """Print the sums over nodes of the same name, or all."""
    options = Options()
    options.parseOptions(words)
    with options.client() as client:
        stats = ask(client, "stats")
    if options["json"]:
        print(json.dumps(stats, indent=2))
        return
    print(f"process {stats['pid']}, up {duration(stats['seconds'])}")
    for name, numbers in stats["sums"].items():
        print(f"{name:<15} " + ", ".join(f"{_number(value)} {what.replace('_', ' ')}" for what, value in numbers.items()))


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3f}"
