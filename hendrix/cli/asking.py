"""What the commands that talk to a running hendrix have in common: which one is meant, and how long they wait."""

from __future__ import annotations

import difflib
import getopt
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from twisted.python import usage

from hendrix.client import Client, CommandError, connect

# Seconds that a process has to answer what costs it no time.
PATIENCE = 10.0


class OneLine(usage.Options):
    """The options of a command, which may stand anywhere. A mistake is one line, with the nearest option."""

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        words = list(sys.argv[1:] if options is None else options)
        try:
            given, rest = getopt.gnu_getopt(words, self.shortOpt, self.longOpt)  # options may stand anywhere
            words = [*(f"{name}={value}" if f"{name[2:]}=" in self.longOpt else name for name, value in given), "--", *rest]
        except getopt.GetoptError as error:
            raise usage.UsageError(_one_line(error, self)) from None
        super().parseOptions(words)


class Asking(OneLine):
    """The options of a command that talks to a running hendrix."""

    optParameters = [
        ["control", None, None, "The control socket of the hendrix that is meant."],
        ["pidfile", None, None, "Its pid file."],
    ]
    takes: tuple[str, ...] = ()

    def parseArgs(self, *words: str) -> None:
        if len(words) > len(self.takes):
            raise usage.UsageError(f"{words[len(self.takes)]}: only options are understood here: --" + ", --".join(_names(self)))
        for name, word in zip(self.takes, words):
            self[name] = word

    def client(self, timeout: float | None = PATIENCE) -> Client:
        """A connection to it."""
        around = os.environ.get("HENDRIX_CONTROL", "")
        control = self["control"] or (None if self["pidfile"] or around in ("", "off") else around)
        return connect(control, self["pidfile"], timeout)


def ask(client: Client, command: str, **arguments: Any) -> Any:
    """Its answer, or one line that says that there is none."""
    try:
        return client.ask(command, **arguments)
    except TimeoutError:
        raise CommandError(f"{command}: the process does not answer: its reactor is busy, or stopped") from None


def show(answer: Any) -> None:
    """Print what a command of somebody else's making answered."""
    print(answer if isinstance(answer, str) else json.dumps(answer, indent=2, ensure_ascii=False))


def duration(seconds: float) -> str:
    """So that people need not divide: 7384 is ``2 h 3 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if minutes < 60:
        return f"{minutes} min {int(seconds % 60)} s"
    return f"{hours} h {minutes % 60} min" if hours < 24 else f"{days} d {hours % 24} h"


def _names(options: usage.Options) -> list[str]:
    return sorted(name.rstrip("=") for name in options.longOpt if name.rstrip("=") not in ("version", "help"))


def _one_line(error: getopt.GetoptError, options: usage.Options) -> str:
    if not error.opt or any(name.startswith(error.opt) for name in _names(options)):
        return str(error)
    near = difflib.get_close_matches(error.opt, _names(options), 1)
    return f"--{error.opt}: there is no such option; " + (
        f"did you mean --{near[0]}?" if near else "there is --" + ", --".join(_names(options))
    )
