"""``hx workers``: how many processes serve, and one more or less of them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from twisted.python import usage

from hendrix.cli.asking import Asking, ask, show

NUMBER = re.compile(r"[+-]?\d{1,4}")


def run(words: Sequence[str]) -> None:
    """Print what it answers: at once without a number, or when the change is done."""
    numbers = [word for word in words if NUMBER.fullmatch(word)]  # before getopt takes -1 for an option
    options = Options()
    options.parseOptions([word for word in words if word not in numbers])
    if len(numbers) > 1:
        raise usage.UsageError(f"{numbers[1]}: give one number")
    with options.client(None) as client:
        show(ask(client, "workers", **({"to": numbers[0]} if numbers else {})))


class Options(Asking):
    """With the right word for a wrong one."""

    def parseArgs(self, *words: str) -> None:
        if words:
            raise usage.UsageError(f"{words[0]}: give a number of workers, or +1 or -1")
