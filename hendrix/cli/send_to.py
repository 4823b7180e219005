"""``hx send-to ID JSON``: send something to one connection."""

from __future__ import annotations

import json
from collections.abc import Sequence

from twisted.python import usage

from hendrix.cli.asking import Asking, ask


class Options(Asking):
    synopsis = "ID JSON [options]"
    takes = ("connection", "data")

    def postOptions(self) -> None:
        if self.get("data") is None:
            raise usage.UsageError("""give the id of a connection, its ws.id, and what it is sent, as in hx send-to Jx8... '"hello"'""")
        try:
            self["data"] = json.loads(self["data"])
        except ValueError as error:
            raise usage.UsageError(f"""{self["data"]}: it is not JSON ({error}); text is given as '"text"'""") from None


def run(words: Sequence[str]) -> None:
    """Return when it is on its way."""
    options = Options()
    options.parseOptions(words)
    with options.client() as client:
        ask(client, "send_to", connection=options["connection"], data=options["data"])
