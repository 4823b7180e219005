"""``hx tree``: the tree that runs, once or live; or the one that would run with the options given."""

from __future__ import annotations

import difflib
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from typing import Any

from twisted.python import usage

from hendrix.cli.asking import Asking, ask
from hendrix.client import Client, CommandError
from hendrix.options import TABLE, Options as Serving, flag
from hendrix.service import makeService
from hendrix.tree import data, render

ASKING = ("--control", "--pidfile", "--live", "--json", "--every")
# What a terminal understands: another screen and no cursor, back again, home, clear to the end of the line, and of the screen.
ENTER, LEAVE, HOME, CLEAR_LINE, CLEAR_REST = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l", "\x1b[H", "\x1b[K", "\x1b[J"


class Options(Asking):
    optFlags = [["live", None, "Again and again, in place."], ["json", None, "As JSON."]]
    optParameters: list[list[Any]] = [["every", None, 1.0, "Seconds between two looks with --live.", float]]

    def postOptions(self) -> None:
        if not 0.05 <= self["every"] <= 3600:
            raise usage.UsageError(f"--every={self['every']:g}: give a number of seconds from 0.05 to 3600")


def run(words: Sequence[str]) -> None:
    """Print it. Options of serving ask for what would run: nothing is bound, imported or started."""
    if any(word.startswith("-") and not word.startswith(ASKING) and not _means_asking(word) for word in words):
        serving = Serving()
        serving.parseOptions(words)
        print(render(data(makeService(serving))))
        return
    options = Options()
    options.parseOptions(words)
    with options.client() as client:
        if options["live"]:
            live(client, options["every"])
        elif options["json"]:
            print(json.dumps(ask(client, "tree"), indent=2))
        else:
            print(render(ask(client, "tree")))


def _means_asking(word: str) -> bool:
    """Of a slip: whether an option of asking is nearest. They say so."""
    name, flags = word.partition("=")[0], [flag(one) for one in TABLE]
    known = any(one.startswith(name) for one in flags)
    return not known and difflib.get_close_matches(name, [*ASKING, *flags], 1, 0.7)[:1] in [[one] for one in ASKING]


def live(client: Client, every: float) -> None:
    """Until it ends, or Ctrl-C. On a terminal in place, otherwise one tree after another."""
    screen = sys.stdout.isatty()
    text = ""
    try:
        if screen:
            _write(ENTER)
        while True:
            text = render(ask(client, "tree"))
            _write(_page(text) if screen else text + "\n\n")
            time.sleep(every)
    except CommandError:
        ended = True
    except KeyboardInterrupt:
        ended = False
    finally:
        if screen:
            _write(LEAVE + text + "\n")  # the last one stays
    if ended:
        raise CommandError("it has ended")


def _page(text: str) -> str:
    """The text, no larger than the terminal."""
    columns, lines = shutil.get_terminal_size()
    shown = [line[:columns] for line in text.splitlines()[: lines - 1]]
    return HOME + "".join(f"{line}{CLEAR_LINE}\n" for line in shown) + CLEAR_REST


def _write(text: str) -> Any:
    return os.write(sys.stdout.fileno(), text.encode())
