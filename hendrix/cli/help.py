"""``hx help``, and ``hx`` where there is nothing to serve: what it can do."""

from __future__ import annotations

from collections.abc import Sequence

from hendrix.cli import COMMANDS
from hendrix.options import Options

TAIL = """
Without a command it serves in the foreground, short for twistd --nodaemon
--pidfile= hendrix [options]; the options of twistd are understood too, such as
--reactor=uvloop, --logfile=FILE, --pidfile=FILE and --uid=USER: see twistd --help.

tree, stats, threads, profile, workers, reload and stop talk to the hendrix that
was started in this directory, or to that of --control=PATH or --pidfile=FILE.
"""


def run(words: Sequence[str]) -> None:
    """Print the commands and the options."""
    shown = {f"hx {name} {one.words}".rstrip(): one.help for name, one in COMMANDS.items() if one.help}
    lines = [f"  {usage:<27} {words}" if len(usage) < 28 else f"  {usage}\n  {'':<27} {words}" for usage, words in shown.items()]
    print("Usage: hx [options]\n\n" + "\n".join(lines) + "\n" + TAIL + Options().getUsage())
