"""The queues of a cluster, as a node sees them: it takes as many messages as it has room for, and says what has become of them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from hendrix.hey_joe.broker import Node
from hendrix.hey_joe.brokers.engine import Engine, Loss, Taken
from hendrix.hey_joe.brokers.envelope import WORK, Envelope, opened
from hendrix.hey_joe.message import Message
from hendrix.hey_joe.queues import DIED, RETURNED, Asker

# Messages that are taken in one call to an engine, of one queue.
BATCH = 100


class Terms(NamedTuple):
    """What a message of a queue says besides.

    :ivar then: the topic for the result, None for none.
    :ivar asker: the node that waits for the result, and its number for that.
    :ivar key: of idempotency, for one that is durable.
    """

    then: str | None = None
    asker: tuple[str, int] | None = None
    key: str | None = None


class Work:
    """Reactor thread.

    :param name: of this node.
    :param clock: seconds since 1970.
    :param woken: called when there is something to tell the engine, or to ask of it.
    """

    def __init__(self, name: str, clock: Callable[[], float], woken: Callable[[], object]) -> None:
        self._name, self._clock, self._woken = name, clock, woken
        self._numbers = itertools.count(1)
        self._asked: dict[int, tuple[Asker, float]] = {}
        self._served: dict[str, str | None] = {}
        self._changed: dict[str, None] = {}  # queues of which the engine does not know yet whether they are served
        self._known: set[str] = set()
        self._hungry: dict[str, None] = {}
        self._settled: list[tuple[str, str, bool]] = []
        self._said: list[tuple[str, str]] = []
        self.node: Node

    def __bool__(self) -> bool:
        return bool(self._changed or self._settled or self._said or any(self._room(queue) for queue in self._hungry))

    # The hub's side.

    def terms(self, then: str | None, asker: Asker | None, expires: float, key: str | None) -> Terms:
        """Of a new message."""
        if asker is None:
            return Terms(then, None, key)
        number = next(self._numbers)
        self._asked[number] = asker, self._clock() + expires
        return Terms(then, (self._name, number), key)

    def serve(self, queue: str, pattern: str | None) -> None:
        if queue not in self._served:
            self._served[queue] = pattern
            self._changed[queue] = None
        self._hungry[queue] = None

    def rest(self, queue: str) -> None:
        if queue in self._served:
            del self._served[queue]
            self._changed[queue] = None
        self._hungry.pop(queue, None)

    def sweep(self) -> None:
        """Whoever waits for a result waits no longer than its message may."""
        now = self._clock()
        for number, (_, until) in list(self._asked.items()):
            if until < now - 60.0:
                del self._asked[number]

    # The engine's side.

    async def tell(self, engine: Engine) -> None:
        """Tell the engine what has changed, and take what there is room for."""
        settled, self._settled = self._settled, []
        if settled:
            try:
                await engine.settle(settled)
            except BaseException:
                self._settled[:0] = settled
                raise
        while self._said:
            await engine.tell(*self._said.pop(0))
        while self._changed:
            queue = next(iter(self._changed))
            del self._changed[queue]
            if queue in self._served and queue not in self._known:
                self._known.add(queue)
                await engine.serve(queue, self._served[queue])
            elif queue not in self._served and queue in self._known:
                self._known.discard(queue)
                await engine.rest(queue)
        wanted = {queue: min(BATCH, room) for queue in self._hungry if (room := self._room(queue)) > 0}
        if wanted:
            for queue in wanted:
                self._hungry.pop(queue)
            taken, losses = await engine.take(wanted)
            for each in taken:
                self._begin(each)
            self.lost(losses)

    def again(self) -> None:
        """A new connection: the engine is told of all that is served; what was in work is settled by its ticket still."""
        self._known.clear()
        self._changed = dict.fromkeys(self._served)
        self.hungry()

    def hungry(self) -> None:
        """There may be something in any queue."""
        self._hungry.update(dict.fromkeys(self._served))

    def waiting(self, queue: str) -> None:
        """There is something in this one."""
        if queue in self._served:
            self._hungry[queue] = None

    def told(self, text: str) -> None:
        """Another node has a result, or word that there is none."""
        number, ok, value = json.loads(text)
        asker, _ = self._asked.pop(number, (None, 0.0))
        if asker is not None:
            asker(ok, value)

    def lost(self, losses: list[Loss]) -> None:
        """Nobody will do these."""
        for queue, reason, text in losses:
            self.give_up(opened(text), queue, reason)

    def give_up(self, envelope: Envelope, queue: str, reason: str) -> None:
        terms = Terms(*(envelope.more or ()))
        self.refuse(terms, f"{queue}: the message was lost: {reason}")
        self.node.lost(queue, envelope.id, 1, reason, told=envelope.kind == WORK)

    def refuse(self, terms: Terms, why: str) -> None:
        """Who waits for a result hears that there is none."""
        if terms.asker is not None:
            self._say(terms.asker, False, why)

    def _say(self, asker: tuple[str, int], ok: bool, value: Any) -> None:
        node, number = asker
        text = json.dumps([number, ok, value], ensure_ascii=False, separators=(",", ":"))
        if node == self._name:
            self.told(text)
        else:
            self._said.append((node, text))
            self._woken()

    def _room(self, queue: str) -> int:
        return self.node.room(queue) if queue in self._served else 0

    def _begin(self, taken: Taken) -> None:
        envelope = opened(taken.text)
        terms = Terms(*(envelope.more or ()))
        message = Message(envelope.topic, envelope.id, envelope.time, envelope.payload_text)
        message.key, message.attempt = terms.key, taken.attempt

        def settled(outcome: str) -> bool:
            back = outcome == RETURNED or (outcome == DIED and terms.key is not None)
            self._settled.append((taken.queue, taken.ticket, back))
            self._hungry[taken.queue] = None
            self._woken()
            return back

        to = terms.asker
        asker: Asker | None = None
        if to is not None:

            def asker(ok: bool, value: Any) -> None:  # fmt: skip
                self._say(to, ok, value)

        # The engine has seen to it that it has not expired; once it is here there is room for it.
        self.node.work(taken.queue, message, 60.0, terms.then, asker, settled)
