"""``hx reload``: new code, without losing a request."""

from __future__ import annotations

from collections.abc import Sequence

from hendrix.cli.asking import Asking, ask, show


def run(words: Sequence[str]) -> None:
    """Return when it is done."""
    options = Asking()
    options.parseOptions(words)
    with options.client(None) as client:
        show(ask(client, "reload"))
