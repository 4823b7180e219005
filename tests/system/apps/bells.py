"""A site with siblings of its own."""

from __future__ import annotations

import json
import os

from twisted.application.service import Service

from hendrix import hey_joe
from hendrix.siblings import irc, udp


@hey_joe.on("echo")
def heard(event):
    hey_joe.publish("heard", {"payload": event.payload, "pid": os.getpid()})


def app(environ, start_response):
    if environ["QUERY_STRING"].startswith("udp="):
        udp.send("127.0.0.1", int(environ["QUERY_STRING"][4:]), b"from a view")
    if environ["QUERY_STRING"].startswith("irc="):
        irc.say("#hx", environ["QUERY_STRING"][4:])
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(os.getpid()).encode()]


class Crashing(Service):
    on_failure = None

    def __init__(self, context, every):
        self.context, self.every = context, every

    def startService(self):
        super().startService()
        self.context.publish("crashing", os.getpid())
        self.call = self.context.reactor.callLater(self.every, self.on_failure, RuntimeError("again"))

    def stopService(self):
        super().stopService()
        if self.call.active():
            self.call.cancel()


def crashing(context, every: float = 1.0):
    """Crashes."""
    return Crashing(context, every)
