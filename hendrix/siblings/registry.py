"""Finds the function of a sibling: a built-in name, an entry point ``hendrix.siblings``, or a dotted path."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from hendrix.errors import ConfigurationError
from hendrix.wsgi.loading import Name

GROUP = "hendrix.siblings"

# Each is a module of this package.
BUILT_IN = ("cron", "echo", "ethernet", "irc", "pubsub", "tor", "udp")

MakeService = Callable[..., Any]


def find(kind: str, blame: str) -> MakeService:
    """The function of a sibling.

    :param blame: what the user wrote, to begin an error with.
    :raises ConfigurationError: there is none, or it cannot be imported.
    """
    if kind in BUILT_IN:
        return _built_in(kind, blame)
    if "." not in kind and ":" not in kind:
        for point in entry_points(group=GROUP, name=kind):
            return _checked(Name.parse(blame, point.value).found(), blame)
        known = names()
        near = difflib.get_close_matches(kind, known, 1)
        hint = f"did you mean {near[0]}?" if near else "there is " + ", ".join(known)
        raise ConfigurationError(
            f"{blame}: there is no sibling {kind!r}; {hint}, or give the path of a function, package.module.make_service"
        )
    return _checked(Name.parse(blame, kind).found(), blame)


def names() -> list[str]:
    """Those that are installed, by their short names."""
    return [*BUILT_IN, *sorted({point.name for point in entry_points(group=GROUP)} - set(BUILT_IN))]


def installed() -> Iterator[tuple[str, MakeService | str]]:
    """Each with its function, or with one line about why it cannot be used."""
    for name in names():
        try:
            yield name, find(name, name)
        except ConfigurationError as error:
            yield name, str(error)


def _built_in(kind: str, blame: str) -> MakeService:
    try:
        function: MakeService = import_module(f"hendrix.siblings.{kind}").make_service
    except ImportError as error:
        raise ConfigurationError(f"{blame}: {error.name} is missing; install it with pip install 'hendrix[{kind}]'") from None
    return function


def _checked(found: Any, blame: str) -> MakeService:
    try:
        inspect.signature(found).bind_partial(None)
    except (TypeError, ValueError):
        raise ConfigurationError(
            f"{blame}: it is no function that takes (context, ...); write make_service(context, key='default')"
        ) from None
    function: MakeService = found
    return function
