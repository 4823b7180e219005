"""The sibling echo: gives each line back, and tells the hub of it. Copy it to write one of your own."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.application.strports import service
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineOnlyReceiver

from hendrix.siblings.context import Context


def make_service(context: Context, endpoint: str, topic: str = "echo") -> Service:
    """Gives each line back, and tells the hub of it: the template for a sibling of your own.

    :param endpoint: where to listen, as in tcp\\:7007.
    :param topic: on which each line is published.
    """

    class Echo(LineOnlyReceiver):
        def lineReceived(self, line: bytes) -> None:
            self.sendLine(line)
            context.publish(topic, line.decode(errors="replace"))

    listening: Service = service(endpoint, Factory.forProtocol(Echo), context.reactor)
    return listening
