"""``hx siblings``: what can be given to ``--sibling``."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from twisted.python import usage

from hendrix.siblings.registry import installed
from hendrix.siblings.spec import keys_of


def run(words: Sequence[str]) -> None:
    """Print each with its keys, from the signature and the docstring of its function."""
    if words:
        raise usage.UsageError(f"siblings: {words[0]}: it takes no options")
    print("\n\n".join(entry(name, found) for name, found in installed()))


def entry(name: str, found: object) -> str:
    """One of them; text in place of its function says why it cannot be used."""
    if not callable(found):
        return f"{name}\n  cannot be used: {found}"
    summary = (inspect.getdoc(found) or "").partition("\n\n")[0]
    rows = [f"  {key.shown:<25} {key.help}".rstrip() for key in keys_of(found)]
    return "\n".join([name, "  " + " ".join(summary.split()), *rows])
