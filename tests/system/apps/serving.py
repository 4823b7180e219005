"""Servers for --serve."""

from __future__ import annotations

import os

from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineOnlyReceiver


class Lines(LineOnlyReceiver):
    def connectionMade(self):
        self.sendLine(f"{os.getpid()} {os.geteuid()}".encode())

    def lineReceived(self, line):
        self.sendLine(line[::-1])

    def connectionLost(self, reason):
        print("a client has gone", flush=True)


def lines():
    print(f"imported as {os.geteuid()}", flush=True)
    return Factory.forProtocol(Lines)
