"""Who is there, of all nodes: each tells the engine of those that it has, and of all of them anew when the engine has been away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from hendrix.hey_joe.broker import Node
from hendrix.hey_joe.brokers.engine import Change, Changed, Engine
from hendrix.hey_joe.members import Presence

# Changes in one call to an engine.
BATCH = 1000


class Roll:
    """Reactor thread."""

    def __init__(self) -> None:
        self._here = Presence()
        self._counts: Counter[tuple[str, str | None]] = Counter()
        self._changes: list[Change] = []
        self.node: Node

    def __bool__(self) -> bool:
        """Whether the engine is to be told of something."""
        return bool(self._changes)

    def join(self, topic: str, member: Any, who: str | None, connected: bool) -> None:
        first = self._here.join(topic, member, who)
        self._count(topic, who, 1, "join", first, connected)

    def leave(self, topic: str, member: Any, connected: bool) -> None:
        who, last = self._here.leave(topic, member)
        self._count(topic, who, -1, "leave", last, connected)

    def of(self, topic: str) -> dict[str, Any]:
        """Who is here, at this node."""
        return self._here.of(topic)

    async def tell(self, engine: Engine) -> None:
        """Tell the engine what has changed; and the hub, who is new or gone in all the cluster."""
        changes, self._changes = self._changes[:BATCH], self._changes[BATCH:]
        self.changed(list(zip(changes, await engine.present(changes))))

    async def tell_all(self, engine: Engine, alive: Callable[[], bool]) -> None:
        """The engine has been away, or took us for dead: it may know nothing of us, or what was once."""
        self._changes.clear()
        known = Counter({(topic, who): count for topic, who, count in await engine.mine()})
        self._changes.clear()  # what came meanwhile is in the counts
        differences = Counter(self._counts)
        differences.subtract(known)
        self._changes = [Change(topic, who, delta) for (topic, who), delta in differences.items() if delta]
        while self._changes and alive():
            await self.tell(engine)

    def changed(self, changes: list[tuple[Change, Changed]]) -> None:
        for change, (first_or_last, connections) in changes:
            if first_or_last:
                self.node.present(change.topic, "join" if change.delta > 0 else "leave", change.who, connections)

    def _count(self, topic: str, who: str | None, delta: int, event: str, first_or_last: bool, connected: bool) -> None:
        self._counts[topic, who] += delta
        if not self._counts[topic, who]:
            del self._counts[topic, who]
        if connected:
            self._changes.append(Change(topic, who, delta))
        elif first_or_last:
            self.node.present(topic, event, who, self._here.count(topic))
