"""``hx publish TOPIC JSON``: send a payload to all subscribers of a topic."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from twisted.python import usage

from hendrix.cli.asking import Asking
from hendrix.client import publish


class Options(Asking):
    synopsis = "TOPIC JSON [options]"
    takes = ("topic", "payload")
    optParameters = [
        ["url", None, None, "Publish over HTTP, to the site of this address, with --token."],
        ["token", None, None, "What hx token has made; HENDRIX_TOKEN if it is not given."],
    ]

    def postOptions(self) -> None:
        if self.get("payload") is None:
            raise usage.UsageError("""give a topic and a payload, as in hx publish chat.lobby '{"text": "hello"}'""")
        try:
            self["payload"] = json.loads(self["payload"])
        except ValueError as error:
            raise usage.UsageError(f"""{self["payload"]}: it is not JSON ({error}); text is given as '"text"'""") from None


def run(words: Sequence[str]) -> None:
    """Return when it is on its way."""
    options = Options()
    options.parseOptions(words)
    topic, payload = options["topic"], options["payload"]
    if options["url"] is not None:
        publish(topic, payload, url=options["url"], token=options["token"] or os.environ.get("HENDRIX_TOKEN", ""))
        return
    with options.client() as client:
        client.ask("publish", topic=topic, payload=payload)
