"""``hx token TOPIC``: make a token by which others publish over HTTP."""

from __future__ import annotations

import os
from collections.abc import Sequence

from hendrix.cli.asking import OneLine
from hendrix.errors import ConfigurationError
from hendrix.hey_joe.tokens import sign


class Options(OneLine):
    synopsis = "TOPIC ... [options]"
    optParameters = [
        ["seconds", None, 3600.0, "How long it is valid.", float],
        [
            "secret",
            None,
            None,
            "That of the server; without it HENDRIX_SECRET, which nobody else on this machine can see.",
        ],
    ]

    def parseArgs(self, *topics: str) -> None:
        self["topics"] = topics


def run(words: Sequence[str]) -> None:
    """Print it."""
    options = Options()
    options.parseOptions(words)
    secret = options["secret"] or os.environ.get("HENDRIX_SECRET")
    if not secret:
        raise ConfigurationError(
            "there is nothing to sign with: give the HENDRIX_SECRET of the server; a Django project has manage.py hx_token"
        )
    try:
        print(sign(secret, options["topics"], options["seconds"]))
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
