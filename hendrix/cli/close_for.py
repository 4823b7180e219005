"""``hx close-for USER``: close the connections of a user, or one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.python import usage

from hendrix.cli.asking import Asking, ask


class Options(Asking):
    synopsis = "[USER] [options]"
    takes = ("user",)
    optParameters: list[list[Any]] = [
        ["id", None, None, "Close the connection with this id."],
        ["code", None, 1008, "The code of the close.", int],
        ["reason", None, "logged out", "What the client hears."],
    ]

    def postOptions(self) -> None:
        if (self.get("user") is None) == (self["id"] is None):
            raise usage.UsageError("give the primary key of a user, as in hx close-for 7, or the id of a connection with --id")


def run(words: Sequence[str]) -> None:
    """Return when it is on its way."""
    options = Options()
    options.parseOptions(words)
    whose = {"user": options["user"]} if options["id"] is None else {"connection": options["id"]}
    with options.client() as client:
        ask(client, "close_for", **whose, code=options["code"], reason=options["reason"])
