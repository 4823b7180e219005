"""Redis, and Valkey: its own client for asyncio, in a thread beside the reactor. See `redis_scripts` for what is kept there.

Two connections: one for commands, one that listens. Messages come by publish and subscribe, and only what a rule keeps goes into a stream
too. Redis sends each connection what it publishes in the order in which it was published, so that the answer of a script has its
place among the messages where the script publishes a mark for it: a fence.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from redis.asyncio import Redis as Client
from redis.asyncio.connection import Connection, ConnectionPool
from redis.exceptions import RedisError
from twisted.internet.defer import Deferred

from hendrix.hey_joe.brokers import redis_scripts as scripts
from hendrix.hey_joe.brokers.asyncio_thread import AsyncioThread
from hendrix.hey_joe.brokers.engine import (
    ALIVE,
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
from hendrix.hey_joe.memory import new_epoch
from hendrix.hey_joe.topics import is_exact

Result = TypeVar("Result")

# Connections to Redis: gives the pool that makes them. It may have to ask a sentinel, so it waits.
Pool = Callable[[], Awaitable[ConnectionPool]]

# Patterns in one command.
SEVERAL = 1000


class Redis:
    """
    :param pool: makes connections, without a try of its own to make them anew.
    :param prefix: of all keys and channels.
    """

    durable = True

    def __init__(self, thread: AsyncioThread, pool: Pool, prefix: str) -> None:
        self._thread, self._pool, self._prefix = thread, pool, prefix
        self._client: Client | None = None
        self._listener: Connection | None = None
        self._reading: asyncio.Task[None] | None = None
        self._scripts: dict[str, Any] = {}
        self._turn = asyncio.Lock()  # one command at a time on the connection of commands
        self._numbers = itertools.count(1)
        self._fences: dict[str, asyncio.Future[Callable[[], object]]] = {}
        self._confirmed: dict[tuple[str, str], asyncio.Future[None]] = {}
        self._buffer: deque[Callable[[], object] | str] = deque()  # what the listener has read
        self._woken = False
        self._over = False
        self._unanswered: set[Deferred[Any]] = set()

    # The reactor thread.

    def open(self, node: str, ears: Ears, known: Standing | None) -> Deferred[Standing]:
        self._node, self._ears = node, ears
        return self._run(self._open(known))

    def close(self) -> Deferred[None]:
        self._over = True
        return self._thread.run(self._close())

    def publish(self, publications: Sequence[Publication]) -> Deferred[Published]:
        return self._run(self._publish(publications))

    def subscribe(self, patterns: Sequence[str]) -> Deferred[None]:
        return self._run(self._listen("SUBSCRIBE", patterns))

    def unsubscribe(self, patterns: Sequence[str]) -> Deferred[None]:
        return self._run(self._listen("UNSUBSCRIBE", patterns))

    def after(self, questions: Sequence[Mapping[str, int]]) -> Deferred[list[Past]]:
        return self._fenced(self._after, questions)

    def history(self, topic: str) -> Deferred[list[str]]:
        return self._run(self._script(scripts.HISTORY, topic))

    def present(self, changes: Sequence[Change]) -> Deferred[list[Changed]]:
        return self._run(self._present(changes))

    def mine(self) -> Deferred[list[Change]]:
        return self._run(self._mine())

    def presence(self, topic: str) -> Deferred[tuple[int, list[str]]]:
        return self._run(self._presence(topic))

    def beat(self) -> Deferred[Pulse]:
        return self._fenced(self._beat, None)

    def leave(self) -> Deferred[Pulse]:
        return self._run(self._leave())

    def serve(self, queue: str, pattern: str | None) -> Deferred[None]:
        return self._run(self._serve(queue, pattern))

    def rest(self, queue: str) -> Deferred[None]:
        return self._run(self._rest(queue))

    def take(self, wanted: Mapping[str, int]) -> Deferred[tuple[list[Taken], list[Loss]]]:
        return self._run(self._take(wanted))

    def settle(self, tickets: Sequence[tuple[str, str, bool]]) -> Deferred[None]:
        return self._run(self._settle(tickets))

    def tell(self, node: str, text: str) -> Deferred[None]:
        return self._run(self._tell(node, text))

    def _run(self, coroutine: Any) -> Deferred[Any]:
        return self._thread.run(_plainly(coroutine))

    def _fenced(self, question: Callable[[str, Any], Awaitable[Any]], argument: Any) -> Deferred[Any]:
        """Ask, and fire when the listener comes to the place of the answer."""
        answer: Deferred[Any] = Deferred()
        number = str(next(self._numbers))
        self._unanswered.add(answer)

        def given(result: Any) -> None:
            self._unanswered.discard(answer)
            if not answer.called:
                answer.callback(result)

        async def ask() -> None:
            placed = self._fences[number] = asyncio.get_running_loop().create_future()
            try:
                result = await question(number, argument)
                placed.set_result(lambda: given(result))
            except BaseException:
                placed.cancel()
                raise

        self._run(ask()).addErrback(given)
        return answer

    def _deliver(self) -> None:
        """Hand on what the listener has read."""
        self._woken = False
        texts: list[str] = []
        for _ in range(len(self._buffer)):
            item = self._buffer.popleft()
            if self._over:
                return
            if isinstance(item, str):
                texts.append(item)
                continue
            if texts:
                self._ears.heard(texts)
                texts = []
            item()
        if texts and not self._over:
            self._ears.heard(texts)

    def _lost(self, why: str) -> None:
        if not self._over:
            self._over = True
            self._ears.lost(why)
            unanswered, self._unanswered = self._unanswered, set()
            for answer in unanswered:
                if not answer.called:
                    answer.errback(EngineError(why))

    # The thread of asyncio.

    async def _open(self, known: Standing | None) -> Standing:
        pool = await self._pool()
        self._client = Client(connection_pool=pool, single_connection_client=True)
        epoch, offset = await self._script(scripts.OPEN, new_epoch(), *(known or ("", 0)))
        listener = self._listener = pool.make_connection()
        await listener.connect()
        self._reading = asyncio.get_running_loop().create_task(self._read(listener))
        await self._send("SUBSCRIBE", [f"{self._prefix}n:{self._node}"])
        return Standing(epoch, offset)

    async def _close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        ends = [part() for part in (self._listener and self._listener.disconnect, self._client and self._client.aclose) if part]
        for end in ends:
            try:
                await asyncio.wait_for(end, 1.0)
            except (RedisError, OSError, asyncio.TimeoutError):
                pass

    async def _script(self, source: str, *arguments: Any) -> Any:
        assert self._client is not None
        script = self._scripts.get(source)
        if script is None:
            script = self._scripts[source] = self._client.register_script(source)
        async with self._turn:
            return await script(keys=[self._prefix], args=arguments)

    async def _publish(self, publications: Sequence[Publication]) -> Published:
        arguments: list[Any] = []
        for kind, topic, number, keep, age, durable, body in publications:
            arguments += (kind, topic, number, keep, age, int(durable), body)
        epoch, offset, full = await self._script(scripts.PUBLISH, self._node, *arguments)
        return Published(Standing(epoch, offset), full)

    async def _after(self, fence: str, questions: Sequence[Mapping[str, int]]) -> list[Past]:
        arguments: list[Any] = []
        for question in questions:
            arguments.append(len(question))
            for pattern, since in question.items():
                exact = is_exact(pattern)
                arguments += (int(exact), pattern if exact else scripts.lua_pattern(pattern), since)
        epoch, offset, answers = await self._script(scripts.AFTER, self._node, fence, *arguments)
        pasts = []
        for question, (messages, gaps) in zip(questions, answers):
            patterns = list(question)
            pasts.append(Past(Standing(epoch, offset), messages, [patterns[number - 1] for number in gaps]))
        return pasts

    async def _present(self, changes: Sequence[Change]) -> list[Changed]:
        arguments: list[Any] = []
        for topic, who, delta in changes:
            arguments += (topic, "-" if who is None else f"={who}", delta)
        answers = await self._script(scripts.PRESENT, self._node, *arguments)
        return [Changed(bool(edge), max(0, connections)) for edge, connections in answers]

    async def _mine(self) -> list[Change]:
        there = await self._command("HGETALL", f"{self._prefix}n:{self._node}")
        found = []
        for field, count in _pairs(there):
            topic, _, who = field.partition(" ")
            found.append(Change(topic, _name(who), int(count)))
        return found

    async def _presence(self, topic: str) -> tuple[int, list[str]]:
        there = dict(_pairs(await self._command("HGETALL", f"{self._prefix}p:{topic}")))
        return int(there.pop("*", 0)), [who[1:] for who in there if who[0] == "="]

    async def _beat(self, fence: str, nothing: None) -> Pulse:
        assert self._listener is not None
        return _pulse(await self._script(scripts.BEAT, self._node, fence))

    async def _leave(self) -> Pulse:
        return _pulse(await self._script(scripts.LEAVE, self._node))

    async def _serve(self, queue: str, pattern: str | None) -> None:
        await self._send("SUBSCRIBE", [f"{self._prefix}w:{queue}"])
        await self._script(scripts.SERVE, self._node, queue, "" if pattern is None else scripts.lua_pattern(pattern))

    async def _rest(self, queue: str) -> None:
        await self._send("UNSUBSCRIBE", [f"{self._prefix}w:{queue}"])
        await self._script(scripts.REST, self._node, queue)

    async def _take(self, wanted: Mapping[str, int]) -> tuple[list[Taken], list[Loss]]:
        arguments = [word for each in wanted.items() for word in each]
        taken, losses = await self._script(scripts.TAKE, self._node, *arguments)
        return [Taken(*each) for each in taken], [Loss(*each) for each in losses]

    async def _settle(self, tickets: Sequence[tuple[str, str, bool]]) -> None:
        await self._script(scripts.SETTLE, *(word for queue, id, back in tickets for word in (queue, id, int(back))))

    async def _tell(self, node: str, text: str) -> None:
        await self._command("PUBLISH", f"{self._prefix}n:{node}", f"told {text}")

    async def _command(self, *words: Any) -> Any:
        assert self._client is not None
        async with self._turn:
            return await self._client.execute_command(*words)

    # Listening.

    async def _listen(self, command: str, patterns: Sequence[str]) -> None:
        exact = [f"{self._prefix}t:{pattern}" for pattern in patterns if is_exact(pattern)]
        globs = [f"{self._prefix}t:{pattern}" for pattern in patterns if not is_exact(pattern)]  # * is for more here; the node filters
        await self._send(command, exact)
        await self._send(f"P{command}", globs)

    async def _send(self, command: str, channels: Sequence[str]) -> None:
        """Returns when Redis has done it."""
        assert self._listener is not None
        for start in range(0, len(channels), SEVERAL):
            some = channels[start : start + SEVERAL]
            last = self._confirmed[command.lower(), some[-1]] = asyncio.get_running_loop().create_future()
            await self._listener.send_command(command, *some)
            await asyncio.wait_for(last, self._listener.socket_timeout)

    async def _read(self, listener: Connection) -> None:
        try:
            while True:
                await self._heard(*await listener.read_response(timeout=ALIVE, disconnect_on_error=False) or self._silent())
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._thread.post(self._lost, _line(error))

    @staticmethod
    def _silent() -> Any:
        raise EngineError(f"it has been silent for {ALIVE:g} s")

    async def _heard(self, kind: str, *words: Any) -> None:
        if kind in ("message", "pmessage"):
            channel, text = words[-2:]
            place = channel[len(self._prefix) :]
            if place[0] == "t":
                self._hand_on(text)
            elif place[0] == "w":
                self._hand_on(lambda: self._ears.waiting(text))
            elif text.startswith("told "):
                self._hand_on(lambda: self._ears.told(text[5:]))
            else:
                answer = self._fences.pop(text[6:], None)
                if answer is not None:
                    try:
                        self._hand_on(await answer)  # it is on its way, on the other connection
                    except asyncio.CancelledError:
                        if not answer.cancelled():
                            raise
        else:
            confirmed = self._confirmed.pop((kind, words[0]), None)
            if confirmed is not None and not confirmed.done():
                confirmed.set_result(None)

    def _hand_on(self, item: Callable[[], object] | str) -> None:
        self._buffer.append(item)
        if not self._woken:
            self._woken = True
            self._thread.post(self._deliver)


async def _plainly(coroutine: Awaitable[Result]) -> Result:
    """With errors of one line."""
    try:
        return await coroutine
    except (RedisError, OSError, asyncio.TimeoutError) as error:
        raise EngineError(_line(error)) from None


def _line(error: BaseException) -> str:
    return " ".join((str(error) or type(error).__name__).split())[:200]


def _name(who: str) -> str | None:
    return who[1:] if who[0] == "=" else None


def _pairs(found: Any) -> list[tuple[str, str]]:
    return list(found.items()) if isinstance(found, dict) else list(zip(found[::2], found[1::2]))


def _pulse(answer: Any) -> Pulse:
    alive, left, losses = answer
    changes = [
        (Change(topic, _name(who), delta), Changed(bool(edge), max(0, connections))) for topic, who, delta, edge, connections in left
    ]
    return Pulse(bool(alive), changes, [Loss(*loss) for loss in losses])
