"""Publishing through a broker from a process that is no node: with no tree, and whether or not it has a reactor of its own.

It blocks, on a reactor that lives for this one message. It is a node for that time only, one that hears nothing and has nobody.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from secrets import token_hex
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.pollreactor import PollReactor

from hendrix.errors import ConfigurationError
from hendrix.hey_joe.brokers.engine import Engine, EngineError, Publication
from hendrix.hey_joe.brokers.envelope import MESSAGE
from hendrix.hey_joe.brokers.outgoing import Outgoing
from hendrix.hey_joe.brokers.url import engines_of, shown
from hendrix.hey_joe.message import encoded
from hendrix.hey_joe.rules import Rule
from hendrix.hey_joe.topics import check_topic
from hendrix.values import broker as broker_url


class Deaf:
    """The `engine.Ears` of one who hears nothing."""

    def heard(self, texts: Sequence[str]) -> None: ...

    def told(self, text: str) -> None: ...

    def waiting(self, queue: str) -> None: ...

    def lost(self, why: str) -> None: ...  # what was asked fails, which is enough


def publish(url: str, topic: str, payload: Any, *, history: int = 0, age: float = 3600.0, timeout: float = 10.0) -> None:
    """Returns when the engine has it.

    :param history, age: the `Rule` of the topic at the nodes, which nobody tells an outsider.
    :raises BadTopic, BadPayload, ValueError: it is not sent.
    :raises ConfigurationError: the URL is none, or its client is not installed; one line.
    :raises EngineError: the engine cannot be reached, or does not take it in time; one line.
    """
    try:
        url = broker_url(url)
    except ValueError as error:
        raise ConfigurationError(f"broker: {error}") from None
    if url == "memory:":
        raise ConfigurationError("broker: memory: is inside one tree of processes: reach that by its control socket or its address")
    rule = Rule(history, age)
    make_reactor: Callable[[], Any] = PollReactor  # it has no annotations
    node, reactor = token_hex(6), make_reactor()
    out = Outgoing(node, time.time)
    out.add(MESSAGE, topic, encoded(check_topic(topic), payload), rule.history, rule.age)
    make, ended = engines_of(url, reactor)
    failures: list[Any] = []

    def begin() -> None:
        said = Deferred.fromCoroutine(_say(make(), node, out.batch())).addTimeout(timeout, reactor)
        said.addErrback(failures.append).addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    try:
        reactor.run(installSignalHandlers=False)
    finally:
        ended()
    for failure in failures:
        if failure.check(TimeoutError, CancelledError):
            raise EngineError(f"{shown(url)} has not answered within {timeout:g} s")
        if failure.check(EngineError):
            raise EngineError(f"{shown(url)}: {failure.getErrorMessage()}")
        failure.raiseException()


async def _say(engine: Engine, node: str, publications: Sequence[Publication]) -> None:
    try:
        await engine.open(node, Deaf(), None)
        await engine.publish(publications)
        await engine.leave()
    finally:
        await engine.close()
