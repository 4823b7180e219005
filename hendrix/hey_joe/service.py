"""The node "hub": the hub of the tree, or the way of a worker to it."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.task import LoopingCall

from hendrix.crosstown import traffic
from hendrix.hey_joe import branch as branches
from hendrix.hey_joe.branch import Branch, NoHub
from hendrix.hey_joe.broker import Broker
from hendrix.hey_joe.brokers.schema import schema_of
from hendrix.hey_joe.declared import declared
from hendrix.hey_joe.handling import Handling
from hendrix.hey_joe.hub import Hub
from hendrix.hey_joe.uplink import Uplink, direct
from hendrix.threads.mailbox import Mailbox

# Seconds between two looks for what is too old.
SWEEP = 1.0

# Seconds that the hub has to answer when we leave.
PATIENCE = 2.0


class HubService(Service):
    """It starts before whatever publishes, and stops after it.

    :param uplink: the way to the hub of another process. Without it, the hub is here.
    :param broker: that of the hub, None for one in memory.
    :param url: of the broker.
    :ivar hub: None if it is in another process.
    :ivar branch: that of this process, while it runs.
    """

    name = "hub"

    def __init__(self, reactor: Any, uplink: Uplink | None = None, broker: Broker | None = None, url: str = "memory:") -> None:
        self._reactor, self._uplink, self._url = reactor, uplink, url
        self.hub = Hub(broker=broker) if uplink is None else None
        self.branch: Branch | None = None
        self._sweep = LoopingCall(self.hub.sweep) if self.hub is not None else None

    def attach(self, uplink: Uplink) -> None:
        """Another process has come, and this is the way to it."""
        assert self.hub is not None
        self.hub.attach(uplink)

    def describe(self) -> str:
        if self.hub is not None:
            return self.hub.describe()
        members = self.branch.subscribers if self.branch is not None else 0
        return f"of the parent, {members} subscriber{'s' * (members != 1)} here"

    def numbers(self) -> dict[str, int | float]:
        here = self.branch.numbers() if self.branch is not None else {}
        return {**here, **(self.hub.numbers() if self.hub is not None else {})}

    def startService(self) -> None:
        super().startService()
        uplink = self._uplink
        if self.hub is not None:
            self.hub.start()
            theirs, uplink = direct()
            self.hub.attach(theirs)
        assert uplink is not None
        post, durable = Mailbox(self._reactor.callFromThread).post, self._url != "memory:"
        self.branch = branches.current = Branch(uplink, post, durable, schema_of(self._url))
        declared.listen(Handling(self.branch, lambda: traffic.serving))
        if self._sweep is not None:
            self._sweep.clock = self._reactor
            self._sweep.start(SWEEP, now=False)

    def stopService(self) -> Deferred[None]:
        """Fires when the hub knows that this process does no more."""
        super().stopService()
        return Deferred.fromCoroutine(self._leave())

    async def _leave(self) -> None:
        declared.listen(None)
        if self._sweep is not None and self._sweep.running:
            self._sweep.stop()
        branch, self.branch = self.branch, None
        if branch is not None:
            branch.rest()
            try:
                await branch.position().addTimeout(PATIENCE, self._reactor)  # what the hub had sent before it heard that has come now
            except (NoHub, TimeoutError):
                pass
            if branches.current is branch:
                branches.current = None
            branch.close()
        if self.hub is not None:
            await self.hub.stop()
