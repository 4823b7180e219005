"""Settings from the environment: ``HENDRIX_MAX_BODY=10M`` is ``--max-body=10M``.

What is given by flag or keyword goes first, then ``HENDRIX_*``, then ``PORT`` and ``WEB_CONCURRENCY``, then the default. Flags that say
where to listen are one matter: with one of them given, none of the environment's is looked at.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from hendrix.errors import ConfigurationError

PREFIX = "HENDRIX_"
LISTENING = frozenset(("listen", "http_port", "https_port"))
# A name so much like that of a setting is one that was misspelled; others are somebody else's.
SIMILAR = 0.85


class Row(Protocol):
    """What is needed of a row of the table of settings."""

    @property
    def read(self) -> Callable[[Any], Any]: ...
    @property
    def repeatable(self) -> bool: ...


def variable(name: str) -> str:
    """The variable of a setting: ``max_body`` is ``HENDRIX_MAX_BODY``."""
    return PREFIX + name.upper()


def completed(given: Mapping[str, Any], table: Mapping[str, Row], environ: Mapping[str, str]) -> dict[str, Any]:
    """The settings given, and from the environment those that are not. An empty variable is none.

    :raises ConfigurationError: a variable whose value cannot work, or whose name is almost that of a setting.
    """
    names = {variable(name): name for name in table}
    _find_misspelled(names, environ)
    found = {name: _read(key, environ[key], table[name]) for key, name in names.items() if environ.get(key) and name not in given}
    if LISTENING & given.keys():
        found = {name: value for name, value in found.items() if name not in LISTENING}
    elif not LISTENING & found.keys() and environ.get("PORT"):
        found["http_port"] = _read("PORT", environ["PORT"], table["http_port"])
    if "workers" not in {**found, **given} and environ.get("WEB_CONCURRENCY"):
        found["workers"] = _read("WEB_CONCURRENCY", environ["WEB_CONCURRENCY"], table["workers"])
    return {**found, **given}


def _read(key: str, text: str, row: Row) -> Any:
    try:
        return tuple(row.read(one) for one in text.split()) if row.repeatable else row.read(text)
    except ValueError as error:
        raise ConfigurationError(f"{key}={text}: {error}") from None


def _find_misspelled(names: Mapping[str, str], environ: Mapping[str, str]) -> None:
    for key in environ:
        if key.startswith(PREFIX) and key not in names and (near := difflib.get_close_matches(key, names, 1, SIMILAR)):
            raise ConfigurationError(f"{key}: there is no such setting; did you mean {near[0]}?")
