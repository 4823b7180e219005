"""A broker that joins the hubs of several nodes to one, by an engine.

The rules:

1. While the engine is there, it gives each message its place, also those of publishers here: subscribers hear them when they come back.
2. While it is away, subscribers here hear publishers here at once, under ids of an epoch of this time. All that is published waits,
   bounded, and is sent on return; it is not delivered here again. Handlers and consumers wait for the return, for each message is for one
   in the cluster.
3. On return each subscriber hears of a gap in the topics of which the engine does not have all that came meanwhile.
4. What comes from the engine comes once, in order: its offsets grow.

One coroutine lives the connection, `_live`; three more, which it starts, have one call each at the engine at any time. They are woken by
`flush`, at the end of each turn of the hub.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from secrets import token_hex
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.task import deferLater
from twisted.logger import Logger

from hendrix.hey_joe.broker import Node, Past
from hendrix.hey_joe.brokers.engine import BEAT, PATIENCE, Engine, EngineError, Publication, Pulse, Standing
from hendrix.hey_joe.brokers.envelope import GAP, MESSAGE, WORK, Envelope, OtherVersion, opened
from hendrix.hey_joe.brokers.outgoing import Outgoing
from hendrix.hey_joe.brokers.roll import Roll
from hendrix.hey_joe.brokers.work import Work
from hendrix.hey_joe.memory import new_epoch
from hendrix.hey_joe.message import BROKER, HISTORY, OVERLOAD, Gap, Message
from hendrix.hey_joe.queues import FULL, Asker
from hendrix.hey_joe.rules import Rule

log = Logger(namespace="hendrix.hey_joe")

Result = TypeVar("Result")

# Seconds until the first new try to connect, and the most between two; each is somewhat random.
FIRST, MOST = 0.1, 10.0

# Seconds that the engine has to take what is left when we leave.
FAREWELL = 3.0


class Cluster:
    """
    :param make: makes an engine, which has not connected.
    :param name: of the engine and where it is, as it may be shown.
    :param ended: called when all is over.
    :param clock: seconds since 1970.
    """

    alone = False

    def __init__(
        self,
        reactor: Any,
        make: Callable[[], Engine],
        name: str,
        ended: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._reactor, self._make, self._name, self._ended, self._clock = reactor, make, name, ended, clock
        self.id = token_hex(6)
        self._out = Outgoing(self.id, clock)
        self._roll = Roll()
        self._work = Work(self.id, clock, self._wake)
        self._engine: Engine | None = None
        self._living: Deferred[None] | None = None
        self._connected = False
        self._closing = False
        self._standing: Standing | None = None  # of the last message from the engine, or where we began
        self._echoed = 0  # the number of our last publication that came back
        self._here: set[int] = set()  # those that were delivered here without the engine
        self._local_epoch, self._local = new_epoch(), 0
        self._patterns: set[str] = set()
        self._changed: dict[str, None] = {}
        self._confirmed: set[str] = set()
        self._questions: list[tuple[Mapping[str, str | None], Past]] = []
        self._positions: list[tuple[int, Callable[[str], object]]] = []
        self._asking = self._telling = self._lived = False
        self._lost = ""  # why the connection has gone
        self._held: Deferred[Any] | None = None  # what the life waits for
        self._late: set[str] = set()  # patterns that were new while the engine came back
        self._since = clock()
        self._why = "not connected yet"
        self._others = Counter[str]()  # what came that is not understood, by what it is
        self._lag = 0.0
        self._reconnects = 0

    # The hub's side.

    def open(self, node: Node) -> None:
        self._node = self._roll.node = self._work.node = node

    def start(self) -> None:
        self._living = Deferred.fromCoroutine(self._live())

    def close(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._leave())

    def publish(self, topic: str, payload_text: str, rule: Rule) -> None:
        publication = self._out.add(MESSAGE, topic, payload_text, rule.history, rule.age)
        if not self._connected:
            self._deliver_here(topic, payload_text)
            if publication is not None:
                self._here.add(publication.number)

    def miss(self, topic: str, count: int) -> None:
        self._out.miss(topic, count)
        if not self._connected:
            self._node.miss(topic, count, OVERLOAD)

    def subscribe(self, pattern: str) -> None:
        self._patterns.add(pattern)
        self._changed[pattern] = None

    def unsubscribe(self, pattern: str) -> None:
        self._patterns.discard(pattern)
        self._changed[pattern] = None

    def after(self, since: Mapping[str, str | None], past: Past) -> None:
        if not self._connected:
            self._answer_here(since, past)
        elif self._confirmed.issuperset(since) and not any(since.values()) and self._standing is not None:
            past(_id(self._standing), [], [])  # whatever comes after what has come last is heard
        else:
            self._questions.append((since, past))

    def history(self, topic: str, kept: Callable[[list[Message]], object]) -> None:
        self._ask(lambda engine: engine.history(topic), lambda texts: kept(list(map(_message, self._opened(texts)))), lambda: kept([]))

    def position(self, at: Callable[[str], object]) -> None:
        if not self._connected:
            at(self._local_position)
        elif len(self._out):
            self._positions.append((self._out.number, at))
        else:
            self._questions.append(({}, lambda position, messages, gaps: at(position)))

    def join(self, topic: str, member: Any, who: str | None) -> None:
        self._roll.join(topic, member, who, self._connected)

    def leave(self, topic: str, member: Any) -> None:
        self._roll.leave(topic, member, self._connected)

    def presence(self, topic: str, there: Callable[[dict[str, Any]], object]) -> None:
        def of_all(found: tuple[int, list[str]]) -> None:
            there({"connections": found[0], "who": found[1]})

        self._ask(lambda engine: engine.presence(topic), of_all, lambda: there(self._roll.of(topic)))

    def enqueue(self, queue: str, payload_text: str, expires: float, then: str | None, asker: Asker | None, durable: str | None) -> None:
        terms = self._work.terms(then, asker, expires, durable)
        if self._out.add(WORK, queue, payload_text, 0, self._clock() + expires, terms, durable is not None) is None:
            self._work.refuse(terms, f"{queue}: the message was lost: {OVERLOAD}")
            self._node.lost(queue, None, 1, OVERLOAD, told=True)

    def serve(self, queue: str, pattern: str | None) -> None:
        self._work.serve(queue, pattern)

    def rest(self, queue: str) -> None:
        self._work.rest(queue)

    def flush(self) -> None:
        engine = self._engine
        if engine is None or not self._connected:
            return
        if (len(self._out) or self._out.missed) and (batch := self._out.batch()):
            self._run(self._publish(engine, batch))
        if (self._changed or self._questions) and not self._asking:
            self._run(self._put_questions(engine))
        if (self._roll or self._work) and not self._telling:
            self._run(self._tell(engine))

    def sweep(self) -> None:
        self._work.sweep()

    def describe(self) -> str:
        others = "".join(f"; a node sends {what}" for what in self._others)
        if self._connected:
            return f"{self._name} (lag {self._lag * 1000:.1f} ms){others}"
        return f"{self._name} away for {self._clock() - self._since:.0f} s ({self._why}), {len(self._out)} wait to be sent{others}"

    def numbers(self) -> dict[str, int | float]:
        return {
            "broker_connected": int(self._connected),
            "broker_lag_seconds": self._lag,
            "broker_reconnects": self._reconnects,
            "broker_waiting": len(self._out),
            "broker_dropped": self._out.dropped,
            "broker_misunderstood": self._others.total(),
        }

    # The engine's side: `engine.Ears`.

    def heard(self, texts: Sequence[str]) -> None:
        if not self._connected:
            return  # the past that comes next has it, or a gap in its place
        for envelope in self._opened(texts):
            self._hear(envelope)
        self._node.settle()

    def told(self, text: str) -> None:
        self._work.told(text)
        self._node.settle()

    def waiting(self, queue: str) -> None:
        self._work.waiting(queue)
        self.flush()

    def lost(self, why: str) -> None:
        if not self._lost:
            self._lost = why
            if self._held is not None:
                self._held.cancel()

    # The life of the connections.

    async def _live(self) -> None:
        pause = FIRST
        while not self._closing:
            self._lost = ""
            engine = self._engine = self._make()
            try:
                await self._one_life(engine)
            except EngineError as error:
                self._went(str(error))
            except Exception:
                log.failure("the broker {name} was left: this is a bug in hendrix", name=self._name)
                self._went("a bug in hendrix, see the log")
            self._engine = None
            await engine.close()
            if self._lived:
                pause = FIRST
            if not self._closing:
                self._lost = ""
                await self._sleep(pause * random.uniform(0.5, 1.0))
                pause = min(MOST, pause * 2)
        self._ended()

    async def _one_life(self, engine: Engine) -> None:
        """From one connection to its end."""
        self._lived = False
        standing = await self._hold(engine.open(self.id, self, self._standing), 2 * PATIENCE)
        await self._return(engine, standing)
        self._lived = True
        self._reconnects += 1
        log.info("connected to the broker {name}", name=self._name)
        while True:
            began = self._reactor.seconds()
            pulse = await self._hold(engine.beat())
            self._lag = self._reactor.seconds() - began
            await self._felt(engine, pulse)
            await self._sleep(BEAT)
            if self._lost:
                raise EngineError(self._lost)

    async def _hold(self, deferred: Deferred[Result], patience: float = PATIENCE) -> Result:
        """Wait for that, or until the connection is lost."""
        self._held = deferred
        try:
            return await deferred.addTimeout(patience, self._reactor)
        except CancelledError:
            raise EngineError(self._lost or "it was left") from None
        except TimeoutError:
            raise EngineError(f"it has not answered within {patience:g} s") from None

    async def _sleep(self, seconds: float) -> None:
        """So long, or until the connection is lost."""
        if not self._lost:
            self._held = deferLater(self._reactor, seconds)
            try:
                await self._held
            except CancelledError:
                pass

    async def _return(self, engine: Engine, standing: Standing) -> None:
        """The engine is there again: hear what there is to hear, first what came meanwhile."""
        known, self._changed = self._standing, {}
        patterns = list(self._patterns)
        self._confirmed = set(patterns)
        await self._hold(engine.subscribe(patterns))
        same = known is not None and known.epoch == standing.epoch
        # What an engine has that has lost everything came after that.
        since = {} if known is None else dict.fromkeys(patterns, known.offset if same else -1)
        (past,) = await self._hold(engine.after([since]))
        found = [envelope for envelope in self._opened(past.messages) if envelope.epoch == past.standing.epoch]
        envelopes = {envelope.offset: envelope for envelope in found}
        self._engine_is_back(past.standing, [envelopes[offset] for offset in sorted(envelopes)], past.gaps if same else patterns)
        self._work.again()
        await self._hold(Deferred.fromCoroutine(self._roll.tell_all(engine, lambda: self._connected)))
        self._node.settle()

    def _engine_is_back(self, standing: Standing, envelopes: list[Envelope], gaps: list[str]) -> None:
        for pattern in gaps:
            self._node.miss(pattern, None, BROKER)
        for envelope in envelopes:
            self._hear(envelope)
        self._standing = standing
        self._connected, self._since = True, self._clock()
        self._late = set(self._changed)
        self._node.settle()

    def _went(self, why: str) -> None:
        """The engine has gone: from now on we are for ourselves."""
        before, self._why = self._why, why or self._why
        if not self._connected:
            if self._why != before and not self._closing:
                log.error("the broker {name} cannot be reached: {why}", name=self._name, why=self._why)
            return
        self._connected, self._since = False, self._clock()
        self._local_epoch, self._local = new_epoch(), 0
        self._asking = self._telling = False
        if not self._closing:
            log.error("the broker {name} is away: {why}", name=self._name, why=self._why)
        self._out.again()
        waiting = self._out.all
        self._here = {publication.number for publication in waiting}
        for publication in waiting:
            if publication.number > self._echoed and publication.kind == MESSAGE:
                self._deliver_here(publication.topic, publication.body.partition("\n")[2])
        questions, self._questions = self._questions, []
        for since, past in questions:
            self._answer_here(since, past)
        positions, self._positions = self._positions, []
        for _, at in positions:
            at(self._local_position)
        self._node.settle()

    async def _felt(self, engine: Engine, pulse: Pulse) -> None:
        """What the engine said to our sign of life."""
        self._roll.changed(pulse.left)
        self._work.lost(pulse.losses)
        self._work.hungry()
        if not pulse.alive:
            self._work.again()
            await self._hold(Deferred.fromCoroutine(self._roll.tell_all(engine, lambda: self._connected)))
        self._node.settle()

    async def _leave(self) -> None:
        self._closing = True
        if self._engine is not None and self._connected:
            try:
                await Deferred.fromCoroutine(self._farewell(self._engine)).addTimeout(FAREWELL, self._reactor)
            except (EngineError, TimeoutError, CancelledError):
                log.warn("the broker {name} was left without a farewell", name=self._name)
        if len(self._out):
            log.error("{count} messages were not sent to the broker {name}: the process ends", count=len(self._out), name=self._name)
        self.lost("the process ends")
        if self._living is not None:
            await self._living

    async def _farewell(self, engine: Engine) -> None:
        while (self._telling or self._work or self._roll) and self._connected:
            self.flush()
            await deferLater(self._reactor, 0.01)
        self._roll.changed((await engine.leave()).left)
        while len(self._out) and self._connected:
            self.flush()
            await deferLater(self._reactor, 0.01)

    # What goes to the engine.

    async def _publish(self, engine: Engine, batch: list[Publication]) -> None:
        published = await engine.publish(batch)
        if engine is not self._engine or not self._connected:
            return
        number = self._out.sent()
        for full in published.full:
            publication = next(each for each in batch if each.number == full)
            envelope = opened(f"{_id(published.standing)} {publication.body}")
            self._work.give_up(envelope, publication.topic, FULL)
        while self._positions and self._positions[0][0] <= number:
            self._positions.pop(0)[1](_id(published.standing))
        self._node.settle()

    async def _put_questions(self, engine: Engine) -> None:
        self._asking = True
        changed, self._changed = self._changed, {}
        questions, self._questions = self._questions, []
        try:
            old = [pattern for pattern in changed if pattern in self._confirmed and pattern not in self._patterns]
            new = [pattern for pattern in changed if pattern not in self._confirmed and pattern in self._patterns]
            self._confirmed.difference_update(old)
            if old:
                await engine.unsubscribe(old)
            if new:
                await engine.subscribe(new)
            asked = [{pattern: self._offset_of(id) for pattern, id in since.items() if id is not None} for since, _ in questions]
            pasts = await engine.after(asked or [{}])
        except BaseException:
            for since, past in questions:
                self._answer_here(since, past)
            raise
        if engine is not self._engine or not self._connected:
            for since, past in questions:
                self._answer_here(since, past)
            return
        self._confirmed.update(new)
        for pattern in self._late.intersection(new):
            self._node.miss(pattern, None, BROKER)
        self._late.clear()
        self._standing = pasts[0].standing  # its place: all up to it has come
        for (_, past), found in zip(questions, pasts):
            envelopes = {envelope.offset: envelope for envelope in self._opened(found.messages) if envelope.kind == MESSAGE}
            gaps = [Gap(pattern, None, HISTORY) for pattern in found.gaps]
            past(_id(found.standing), [_message(envelopes[offset]) for offset in sorted(envelopes)], gaps)
        self._asking = False
        self._node.settle()

    async def _tell(self, engine: Engine) -> None:
        self._telling = True
        while (self._roll or self._work) and engine is self._engine and self._connected:
            if self._roll:
                await self._roll.tell(engine)
            if self._work:
                await self._work.tell(engine)
            self._node.settle()
        if engine is self._engine:
            self._telling = False

    def _ask(self, question: Callable[[Engine], Deferred[Any]], answer: Callable[[Any], object], here: Callable[[], object]) -> None:
        """Ask the engine, or answer here if it is away."""

        async def ask(engine: Engine) -> None:
            try:
                found = await question(engine)
            except EngineError:
                here()
                raise
            answer(found)
            self._node.settle()

        if self._connected and self._engine is not None:
            self._run(ask(self._engine))
        else:
            here()

    def _run(self, coroutine: Any) -> None:
        """Whatever fails at the engine ends the connection."""
        engine = self._engine

        def failed(failure: Any) -> None:
            if engine is self._engine and not self._closing:
                if not failure.check(EngineError, CancelledError):
                    log.failure("a call to the broker {name} raised: this is a bug in hendrix", failure, name=self._name)
                self.lost(failure.getErrorMessage() or failure.type.__name__)

        Deferred.fromCoroutine(coroutine).addErrback(failed)

    def _wake(self) -> None:
        self._reactor.callLater(0, self.flush)

    # What comes.

    def _opened(self, texts: Sequence[str]) -> list[Envelope]:
        envelopes = []
        for text in texts:
            try:
                envelopes.append(opened(text))
            except OtherVersion as error:
                if not self._others[str(error)]:
                    log.error("a node at the broker {name} sends {what}: run one version on all", name=self._name, what=str(error))
                self._others[str(error)] += 1
        return envelopes

    def _hear(self, envelope: Envelope) -> None:
        standing = self._standing
        if standing is not None and envelope.epoch == standing.epoch:
            if envelope.offset <= standing.offset:
                return  # it matches two patterns
        elif standing is not None and self._connected:
            for pattern in self._patterns:
                self._node.miss(pattern, None, BROKER)
        self._standing = Standing(envelope.epoch, envelope.offset)
        if envelope.origin == self.id:
            self._echoed = max(self._echoed, envelope.number)
            if envelope.number in self._here:
                return
        if envelope.kind == GAP:
            self._node.miss(envelope.topic, int(envelope.payload_text), OVERLOAD)
        else:
            self._node.deliver(_message(envelope))

    # Without the engine.

    @property
    def _local_position(self) -> str:
        return f"{self._local_epoch}-{self._local}"

    def _deliver_here(self, topic: str, payload_text: str) -> None:
        self._local += 1
        self._node.deliver(Message(topic, self._local_position, self._clock(), payload_text))

    def _answer_here(self, since: Mapping[str, str | None], past: Past) -> None:
        at = self._local_position
        past(at, [], [Gap(pattern, None, BROKER) for pattern, id in since.items() if id is not None and id != at])

    def _offset_of(self, id: str) -> int:
        epoch, _, offset = id.rpartition("-")
        same = self._standing is not None and epoch == self._standing.epoch
        return int(offset) if same and offset.isascii() and offset.isdigit() and len(offset) < 16 else -1


def _id(standing: Standing) -> str:
    return f"{standing.epoch}-{standing.offset}"


def _message(envelope: Envelope) -> Message:
    return Message(envelope.topic, envelope.id, envelope.time, envelope.payload_text)
