"""``hx``, the front door of one word: it serves, and it talks to a hendrix that runs. One command, one file."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

from twisted.python import usage

from hendrix.client import CommandError
from hendrix.errors import ConfigurationError

__all__ = ["COMMANDS", "main"]


@dataclass(frozen=True)
class Command:
    """A word after ``hx``.

    :ivar module: of this package; its ``run`` is called with the words that follow.
    :ivar help: what it does; "" for one that is not shown.
    :ivar words: what may follow, as the help shows it.
    """

    module: str
    help: str
    words: str = ""


COMMANDS: Mapping[str, Command] = {
    "serve": Command("serve", "serve; the word may be left out", "[options]"),
    "start": Command("serve", "", "[options]"),
    "check": Command("check", "load the application, the endpoints and the certificates; print what would run", "[options]"),
    "tree": Command("tree", "show the tree of services that runs here, or would run with the options given", "[--live]"),
    "stats": Command("stats", "show its numbers", "[--json]"),
    "threads": Command("threads", "show what each worker thread is doing now", "[--stacks]"),
    "profile": Command("profile", "sample where a worker spends its time; write a flame graph", "[--seconds=10] [--worker=N]"),
    "workers": Command("workers", "change the number of worker processes", "[N|+N|-N]"),
    "reload": Command("reload", "new code, without losing a request"),
    "stop": Command("stop", "drain it, and wait for its end"),
    "publish": Command("publish", "send a payload to all subscribers of a topic", "TOPIC JSON"),
    "subscribe": Command("subscribe", "show the messages of a topic as they come", "TOPIC"),
    "send-to": Command("send_to", "send something to one connection", "ID JSON"),
    "close-for": Command("close_for", "close the connections of a user", "USER"),
    "token": Command("token", "make a token by which others publish over HTTP", "TOPIC"),
    "siblings": Command("siblings", "list the siblings that are installed, with their keys"),
    "completion": Command("completion", "print what makes the Tab key know all this", "bash|zsh|fish"),
    "help": Command("help", "show this"),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script. Ends with SystemExit, or by the signal that stopped the server.

    :param arguments: without the name of the program; those of the process if None.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        name = words.pop(0) if words and not words[0].startswith("-") else "serve" if words or _serves_by_itself() else "help"
        if name not in COMMANDS:
            near = difflib.get_close_matches(name, COMMANDS, 1)
            hint = f"did you mean {near[0]}?" if near else f"an application is served with hx --wsgi={name}"
            raise usage.UsageError(f"{name}: there is no such command; {hint}")
        import_module(f"hendrix.cli.{COMMANDS[name].module}").run(words)
        sys.stdout.flush()
    except (usage.UsageError, ConfigurationError, CommandError) as error:
        raise SystemExit("hendrix: error: " + " ".join(str(error).split())) from None
    except BrokenPipeError:  # whoever reads has had enough: head, or a pager
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _serves_by_itself() -> bool:
    """Whether there is something to serve without a word: a Django project here, or an application in the environment."""
    return os.path.exists("manage.py") or any(
        os.environ.get(name) for name in ("DJANGO_SETTINGS_MODULE", "HENDRIX_WSGI", "HENDRIX_SETTINGS")
    )
