"""A sibling that tells what is done to it."""

from __future__ import annotations

import os

from twisted.application.service import Service

from hendrix.errors import ConfigurationError

made = []


class Bell(Service):
    on_failure = None
    start_result = stop_result = None

    def __init__(self, context, volume):
        self.context, self.volume, self.life = context, volume, []

    def describe(self):
        return f"volume {self.volume}"

    def privilegedStartService(self):
        self.life.append("privileged")

    def startService(self):
        self.life.append("start")
        return self.start_result

    def stopService(self):
        self.life.append("stop")
        return self.stop_result


def make_service(context, volume: int = 1, fails: str = ""):
    """A bell."""
    if fails == "make":
        raise ConfigurationError("no bell")
    bell = Bell(context, volume)
    if fails == "bind":
        bell.startService = lambda: os.stat("/nonexistent/bell")
    context.subscribe("bell.ring", lambda event: context.publish("bell.rang", event.payload * bell.volume))
    made.append(bell)
    return bell


def no_service(context):
    return 7
