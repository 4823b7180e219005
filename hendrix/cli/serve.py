"""``hx --wsgi=...`` is ``twistd --nodaemon --pidfile= hendrix --wsgi=...``, through twistd's own machinery in this process.

Options of twistd and of hendrix may stand in any order: each is given to whom it belongs.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from twisted.python import usage

from hendrix.options import Options


def run(words: Sequence[str]) -> None:
    """Serve until stopped."""
    from twisted.scripts.twistd import ServerOptions, runApp  # type: ignore[attr-defined]

    if {"--help", "-h"} & {*words}:
        from hendrix.cli.help import run as show_help

        return show_help(words)
    config = ServerOptions()
    theirs, ours = divide(words, config)
    config.parseOptions(["--nodaemon", "--pidfile=", *theirs, "hendrix", *ours])
    runApp(config)


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
