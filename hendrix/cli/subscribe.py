"""``hx subscribe TOPIC``: show messages as they come, each as a line of JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

from twisted.python import usage

from hendrix.cli.asking import Asking


class Options(Asking):
    synopsis = "TOPIC [options]"
    takes = ("topic",)
    optParameters = [["since", None, None, "The id of the last message that is known: begin with what came after it."]]

    def postOptions(self) -> None:
        if self.get("topic") is None:
            raise usage.UsageError("give a topic, or a pattern, as in hx subscribe 'chat.*'")


def run(words: Sequence[str]) -> None:
    """Until it is interrupted, or hendrix ends."""
    options = Options()
    options.parseOptions(words)
    since = {} if options["since"] is None else {"since": options["since"]}
    with options.client(None) as client:
        for event in client.events("subscribe", topic=options["topic"], **since):
            print(json.dumps(event, ensure_ascii=False), flush=True)
