"""PostgreSQL as an engine. See `postgres_sql` for what is kept and done there.

Two connections: one for commands, one that listens. PostgreSQL notifies of everything in the order in which it was committed, and the
function that answers a question notifies of a fence: the answer has its place among the messages there. What no notification can carry is
in a table, and is fetched by the connection of commands; what comes after it waits for that.
"""

from __future__ import annotations

import itertools
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed

from hendrix.hey_joe.brokers import postgres_sql as sql
from hendrix.hey_joe.brokers.engine import (
    Change,
    Changed,
    Ears,
    EngineError,
    Loss,
    Past,
    Publication,
    Published,
    Pulse,
    Standing,
    Taken,
)
from hendrix.hey_joe.brokers.libpq import Connection, Rows
from hendrix.hey_joe.memory import new_epoch
from hendrix.hey_joe.topics import Index, is_exact

# What our functions count on, whatever the database has been set to.
SETTINGS = (
    "SET client_encoding = 'UTF8'; SET client_min_messages = error; SET default_transaction_isolation = 'read committed'; "
    "SET default_transaction_read_only = off; SET jit = off; SET statement_timeout = 0; SET search_path = {}; "
    "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'"  # not before PostgreSQL 14
)

# Without word for so many seconds, and then three times without an answer, the kernel takes the other end of a connection for dead.
KEEPALIVE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}


class _Item:
    """Something in the order of notifications, for which others wait until it is there.

    :ivar act: what is to be done then.
    """

    __slots__ = ("act",)

    def __init__(self, act: Callable[[], object] | None = None) -> None:
        self.act = act


class _Fence(_Item):
    """
    :ivar answer: of the question; it fires in its place.
    """

    __slots__ = ("answer",)

    def __init__(self) -> None:
        super().__init__()
        self.answer: Deferred[Any] = Deferred()


class Postgres:
    """
    :param parameters: of libpq.
    :param schema: of hendrix.
    """

    durable = True

    def __init__(self, reactor: Any, parameters: dict[str, Any], schema: str) -> None:
        self._parameters, self._schema = {"application_name": "hendrix", **KEEPALIVE, **parameters}, schema
        self._commands = Connection(reactor, lambda channel, text: None, lambda: None, self._lost)
        self._listener = Connection(reactor, self._notified, self._deliver, self._lost)
        self._patterns: Index[None] = Index()
        self._served: set[str] = set()
        self._numbers = itertools.count(1)
        self._fences: dict[str, _Fence] = {}
        self._buffer: deque[_Item | list[str]] = deque()  # what the listener has read
        self._large: dict[str, tuple[_Item, bool]] = {}  # rows that are to be fetched; True for what we are told
        self._fetching = self._emptying = self._delivering = self._over = False

    def open(self, node: str, ears: Ears, known: Standing | None) -> Deferred[Standing]:
        self._node, self._ears = node, ears
        return Deferred.fromCoroutine(self._open(known))

    def close(self) -> Deferred[None]:
        self._over = True
        self._commands.close()
        self._listener.close()
        self._break("it was left")
        return succeed(None)

    def publish(self, publications: Sequence[Publication]) -> Deferred[Published]:
        batch = [publication._asdict() for publication in publications]
        return self._call("put", self._node, batch).addCallback(lambda found: Published(Standing(*found[:2]), found[2]))

    def subscribe(self, patterns: Sequence[str]) -> Deferred[None]:
        for pattern in patterns:
            self._patterns.add(pattern, None)
        return succeed(None)

    def unsubscribe(self, patterns: Sequence[str]) -> Deferred[None]:
        for pattern in patterns:
            self._patterns.discard(pattern, None)
        return succeed(None)

    def after(self, questions: Sequence[Mapping[str, int]]) -> Deferred[list[Past]]:
        asked = [
            [[is_exact(pattern), pattern if is_exact(pattern) else sql.expression(pattern), since] for pattern, since in question.items()]
            for question in questions
        ]

        def answered(found: Any) -> list[Past]:
            epoch, offset, answers = found
            return [
                Past(Standing(epoch, offset), texts, [list(question)[number] for number in gaps])
                for question, (texts, gaps) in zip(questions, answers)
            ]

        return self._fenced("after", asked).addCallback(answered)

    def history(self, topic: str) -> Deferred[list[str]]:
        return self._call("history", topic)

    def present(self, changes: Sequence[Change]) -> Deferred[list[Changed]]:
        told = [[topic, _tag(who), delta] for topic, who, delta in changes]
        return self._call("present", self._node, told).addCallback(lambda found: [Changed(*each) for each in found])

    def mine(self) -> Deferred[list[Change]]:
        return self._call("mine", self._node).addCallback(lambda found: [Change(topic, _name(who), count) for topic, who, count in found])

    def presence(self, topic: str) -> Deferred[tuple[int, list[str]]]:
        return self._call("presence", topic).addCallback(lambda found: (found[0], [who[1:] for who in found[1]]))

    def beat(self) -> Deferred[Pulse]:
        return self._fenced("beat").addCallback(self._pulse)

    def leave(self) -> Deferred[Pulse]:
        return self._call("leave", self._node).addCallback(self._pulse)

    def serve(self, queue: str, pattern: str | None) -> Deferred[None]:
        self._served.add(queue)
        return self._call("serve", self._node, queue, "" if pattern is None else sql.expression(pattern))

    def rest(self, queue: str) -> Deferred[None]:
        self._served.discard(queue)
        return self._call("rest", self._node, queue)

    def take(self, wanted: Mapping[str, int]) -> Deferred[tuple[list[Taken], list[Loss]]]:
        def answered(found: Any) -> tuple[list[Taken], list[Loss]]:
            return [Taken(*each) for each in found[0]], [Loss(*each) for each in found[1]]

        return self._call("take", self._node, dict(wanted)).addCallback(answered)

    def settle(self, tickets: Sequence[tuple[str, str, bool]]) -> Deferred[None]:
        over, given_back = ([ticket for _, ticket, back in tickets if back is wanted] for wanted in (False, True))
        return self._call("settle", f"{{{','.join(over)}}}", f"{{{','.join(given_back)}}}")

    def tell(self, node: str, text: str) -> Deferred[None]:
        return self._call("say", node, text)

    # Asking.

    async def _open(self, known: Standing | None) -> Standing:
        quoted = f'"{self._schema}"'
        settings = SETTINGS.format(quoted)
        await self._commands.open(self._parameters)
        await self._commands.ask(settings)
        ((encoding,),) = await self._commands.ask("SELECT current_setting('server_encoding')")
        if encoding != "UTF8":
            raise EngineError(f"the encoding of the database is {encoding}; make one with CREATE DATABASE ... ENCODING 'UTF8'")
        await self._look_at_schema(quoted)
        await self._listener.open(self._parameters)
        await self._listener.ask(f'{settings}; LISTEN {quoted}; LISTEN "{self._schema}:{self._node}"')
        standing = Standing(*await self._call("open", new_epoch(), known.epoch if known else "", str(known.offset if known else 0)))
        self._empty_outbox()
        return standing

    async def _look_at_schema(self, quoted: str) -> None:
        there = f"SELECT to_regclass('{quoted}.about') IS NOT NULL"
        if await self._commands.ask(there) != [("t",)]:
            try:
                await self._commands.ask(sql.installing(quoted))
            except EngineError as error:
                advice = f"; an administrator may do CREATE SCHEMA {self._schema} AUTHORIZATION the_user_of_the_url"
                raise EngineError(f"{error}{advice if 'permission denied' in str(error) else ''}") from None
        ((version,),) = await self._commands.ask("SELECT version FROM about")
        if int(version) != sql.VERSION:
            raise EngineError(
                f"the schema {self._schema} is that of another hendrix: its version is {version}, and this one knows {sql.VERSION}; "
                "run one version on all nodes, or give a ?name= of its own"
            )

    def _call(self, function: str, *arguments: Any) -> Deferred[Any]:
        given = [argument if isinstance(argument, str) else _json(argument) for argument in arguments]
        places = ", ".join(f"${number}" for number in range(1, len(given) + 1))
        return self._commands.ask(f"SELECT {function}({places})", *given).addCallback(_value)

    def _fenced(self, function: str, *arguments: Any) -> Deferred[Any]:
        """Ask, and fire when the listener comes to the place of the answer."""
        number, fence = str(next(self._numbers)), _Fence()
        self._fences[number] = fence

        def answered(found: Any) -> None:
            fence.act = lambda: _fire(fence.answer, found)
            self._deliver()

        def failed(failure: Any) -> None:
            if self._fences.pop(number, None) is not None:
                _fire(fence.answer, failure)

        self._call(function, self._node, number, *arguments).addCallbacks(answered, failed)
        return fence.answer

    @staticmethod
    def _pulse(found: Any) -> Pulse:
        alive, left, losses = found
        changes = [(Change(topic, _name(who), delta), Changed(*changed)) for topic, who, delta, changed in left]
        return Pulse(alive, changes, [Loss(*loss) for loss in losses])

    # Listening.

    def _notified(self, channel: str, text: str) -> None:
        kind, rest = text[:1], text[1:]
        if kind == "m":
            self._buffer.append(rest.split("\x1e"))
        elif kind == "b":
            number, _, topic = rest.partition(" ")
            if self._patterns.match(topic):
                self._fetch_later(number, told=False)
        elif kind == "B":
            self._fetch_later(rest, told=True)
        elif kind == "f" and (fence := self._fences.pop(rest, None)) is not None:
            self._buffer.append(fence)
        elif kind == "t":
            self._buffer.append(_Item(lambda: self._ears.told(rest)))
        elif kind == "w" and rest in self._served:
            self._buffer.append(_Item(lambda: self._ears.waiting(rest)))
        elif kind == "o" and not self._emptying:
            self._empty_outbox()

    def _deliver(self) -> None:
        """Hand on what has come and is there, in its order."""
        if self._delivering:
            return
        self._delivering = True
        texts: list[str] = []
        try:
            while self._buffer and not self._over:
                item = self._buffer[0]
                if isinstance(item, list):
                    texts += item
                elif texts:
                    heard, texts = texts, []
                    self._ears.heard(heard)
                    continue
                elif item.act is None:
                    break
                self._buffer.popleft()
                if isinstance(item, _Item) and item.act is not None:
                    item.act()
            if texts and not self._over:
                self._ears.heard(texts)
        finally:
            self._delivering = False

    def _fetch_later(self, number: str, told: bool) -> None:
        item = _Item()
        self._buffer.append(item)
        self._large[number] = item, told
        if not self._fetching:
            self._fetch()

    def _fetch(self) -> None:
        """Get the large ones that wait, those of now in one question."""
        self._fetching = True
        wanted, self._large = self._large, {}

        def fetched(rows: Rows) -> None:
            self._fetching = False
            for number, body in rows:
                item, told = wanted.pop(number)
                item.act = lambda body=body, told=told: self._ears.told(body) if told else self._ears.heard([body])
            if wanted:
                self._lost("a message was no longer there when it was to be fetched: this node is too slow")
                return
            if self._large:
                self._fetch()
            self._deliver()

        numbers = f"{{{','.join(wanted)}}}"
        self._commands.ask("SELECT id, body FROM big WHERE id = ANY ($1::bigint[])", numbers).addCallbacks(fetched, lambda failure: None)

    def _empty_outbox(self) -> None:
        self._emptying = True

        def emptied(more: bool) -> None:
            self._emptying = False
            if more:
                self._empty_outbox()

        self._commands.ask("SELECT empty_outbox()").addCallbacks(lambda rows: emptied(rows == [("t",)]), lambda failure: None)

    def _lost(self, why: str) -> None:
        if not self._over:
            self._over = True
            self._ears.lost(why)
            self._commands.close()
            self._listener.close()
            self._break(why)

    def _break(self, why: str) -> None:
        """Whoever waits for a place waits in vain."""
        fences = [*self._fences.values(), *(item for item in self._buffer if isinstance(item, _Fence))]
        self._fences.clear()
        self._buffer.clear()
        for fence in fences:
            _fire(fence.answer, EngineError(why))


def _fire(deferred: Deferred[Any], result: Any) -> None:
    if not deferred.called:
        if isinstance(result, Exception):
            deferred.errback(result)
        else:
            deferred.callback(result)


def _value(rows: Rows) -> Any:
    ((text,),) = rows
    return json.loads(text) if text else None


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _tag(who: str | None) -> str:
    return "-" if who is None else f"={who}"


def _name(who: str) -> str | None:
    return who[1:] if who[0] == "=" else None
