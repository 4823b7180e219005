"""``hx``, the front door of one word: ``hx --wsgi=...`` is ``twistd --nodaemon --pidfile= hendrix --wsgi=...``.

It goes through twistd's own machinery in this process. Options of twistd and of hendrix may stand in any order: each is given to
whom it belongs.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

from twisted.python import usage

from hendrix.errors import ConfigurationError
from hendrix.options import Options

HELP = """\
Usage: hx [options]
       hx tree [options]     print the tree of services that would run
       hx help               show this; hx --version shows the versions

Runs in the foreground: short for twistd --nodaemon --pidfile= hendrix [options].
The options of twistd are understood too, such as --reactor=uvloop,
--logfile=FILE, --pidfile=FILE and --uid=USER: see twistd --help.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script. Ends with SystemExit, or by the signal that stopped the server.

    :param arguments: without the name of the program; those of the process if None.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        command = words.pop(0) if words and not words[0].startswith("-") else "serve"
        if command not in COMMANDS:
            near = difflib.get_close_matches(command, COMMANDS, 1)
            hint = f"did you mean {near[0]}?" if near else f"an application is served with hx --wsgi={command}"
            raise usage.UsageError(f"{command}: there is no such command; {hint}")
        COMMANDS[command](words)
    except (usage.UsageError, ConfigurationError) as error:
        raise SystemExit("hendrix: error: " + " ".join(str(error).split())) from None


def serve(words: Sequence[str]) -> None:
    """Run the server until it is stopped."""
    from twisted.scripts.twistd import ServerOptions, runApp  # type: ignore[attr-defined]

    if {"--help", "-h"} & {*words}:
        return show_help(words)
    config = ServerOptions()
    theirs, ours = divide(words, config)
    config.parseOptions(["--nodaemon", "--pidfile=", *theirs, "hendrix", *ours])
    runApp(config)


def tree(words: Sequence[str]) -> None:
    """Print the tree that would run; nothing is bound, imported or started."""
    from hendrix.service import makeService
    from hendrix.tree import render

    options = Options()
    options.parseOptions(words)
    print(render(makeService(options.to_settings())))


def show_help(words: Sequence[str]) -> None:
    print(HELP + Options().getUsage())


COMMANDS: Mapping[str, Callable[[Sequence[str]], None]] = {"serve": serve, "start": serve, "tree": tree, "help": show_help}


def divide(words: Iterable[str], config: usage.Options) -> tuple[list[str], list[str]]:
    """Options of twistd, and options of hendrix, each with its value. A name may be cut short as long as it is clear.

    :raises UsageError: for an option that neither has.
    """
    theirs: list[str] = []
    ours: list[str] = []
    rest = iter(words)
    for word in rest:
        is_theirs, takes_value = _is_theirs(word, config)
        into = theirs if is_theirs else ours
        into.append(word)
        if takes_value:
            into.extend(value for value in [next(rest, None)] if value is not None)
    return theirs, ours


def _is_theirs(word: str, config: usage.Options) -> tuple[bool, bool]:
    """Whether twistd is to have it, and whether the next word is its value."""
    if not word.startswith("--"):
        letter = word[1:2] if word.startswith("-") else ""
        # Short options are twistd's: -l FILE, or -lFILE.
        return letter in config.synonyms, len(word) == 2 and f"{letter}:" in config.shortOpt
    name, equals, _ = word[2:].partition("=")
    known = {long.rstrip("=").replace("_", "-"): (owner, long.endswith("=")) for owner in (config, Options()) for long in owner.longOpt}
    near = [name.replace("_", "-")] if name.replace("_", "-") in known else [one for one in known if one.startswith(name)]
    if not near:
        close = difflib.get_close_matches(name, known, 1)
        raise usage.UsageError(f"--{name}: there is no such option" + (f"; did you mean --{close[0]}?" if close else ""))
    owner, takes_value = known[near[0]]
    return owner is config, takes_value and not equals
