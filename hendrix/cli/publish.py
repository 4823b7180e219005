"""``hx publish TOPIC JSON``: send a payload to all subscribers of a topic."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from twisted.python import usage

from hendrix.cli.asking import PATIENCE, Asking
from hendrix.client import CommandError, NotRunning, publish


class Options(Asking):
    synopsis = "TOPIC JSON [options]"
    takes = ("topic", "payload")
    optParameters = [
        ["url", None, None, "Publish over HTTP, to the site of this address, with --token."],
        ["token", None, None, "What hx token has made; HENDRIX_TOKEN if it is not given."],
        ["broker", None, None, "Publish through the broker of a cluster, as redis://host; HENDRIX_BROKER where no hendrix runs here."],
        ["history", None, "0", "Through a broker: how many messages of the topic are kept, as its rule says."],
        ["age", None, "3600", "Through a broker: seconds for which it is kept, as its rule says."],
    ]

    def postOptions(self) -> None:
        if self.get("payload") is None:
            raise usage.UsageError("""give a topic and a payload, as in hx publish chat.lobby '{"text": "hello"}'""")
        try:
            self["payload"] = json.loads(self["payload"])
        except ValueError as error:
            raise usage.UsageError(f"""{self["payload"]}: it is not JSON ({error}); text is given as '"text"'""") from None
        for name, number in (("history", int), ("age", float)):
            try:
                self[name] = number(self[name])
            except ValueError:
                raise usage.UsageError(f"--{name}={self[name]}: give a number") from None


def run(words: Sequence[str]) -> None:
    """Return when it is on its way."""
    options = Options()
    options.parseOptions(words)
    topic, payload = options["topic"], options["payload"]
    if options["url"] is not None:
        publish(topic, payload, url=options["url"], token=options["token"] or os.environ.get("HENDRIX_TOKEN", ""))
        return
    broker = options["broker"]
    if broker is None:
        try:
            with options.client() as client:
                client.ask("publish", topic=topic, payload=payload)
            return
        except NotRunning:
            broker = os.environ.get("HENDRIX_BROKER", "memory:")
            if broker in ("memory", "memory:"):
                raise
    try:
        publish(topic, payload, broker=broker, history=options["history"], age=options["age"], timeout=PATIENCE)
    except ValueError as error:  # what the process that is asked says otherwise
        raise CommandError(str(error)) from None
