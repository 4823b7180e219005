"""What applications call: publish, and declare what is to be called and kept.

Any thread may call these; none but `position`, `presence` and `history` waits for anything.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from inspect import iscoroutinefunction
from secrets import token_hex
from typing import Any

from hendrix import client
from hendrix.crosstown.task import name_of
from hendrix.crosstown.traffic import NoTransactions
from hendrix.hey_joe import branch as _branch
from hendrix.hey_joe.branch import NoHub
from hendrix.hey_joe.brokers.schema import schema_of
from hendrix.hey_joe.declared import Event, Handler, declared
from hendrix.hey_joe.message import encoded
from hendrix.hey_joe.queues import EXPIRES
from hendrix.hey_joe.reply import Reply, answer_of
from hendrix.hey_joe.rules import Rule
from hendrix.hey_joe.topics import check_pattern, check_topic

Function = Callable[[Event], Any]

ELSEWHERE = (
    "there is no hub in this process, for hendrix has not started here. With HENDRIX_CONTROL, the control socket of one that runs, "
    "publish() finds it from anywhere; so does hendrix.client"
)


#: Publish when the transaction that is open on this thread commits, on the database of this alias (None: the default), and never if it
#: rolls back: given topic, payload as JSON, rule, a call that publishes, and the schema of the broker if that is PostgreSQL.
#: `hendrix.django` sets it.
publish_on_commit: Callable[[str, str, Rule, Callable[[], None], str | None, str | None], None] | None = None


def publish(topic: str, payload: Any, *, on_commit: bool | str = False) -> None:
    """Send a payload to all subscribers of a topic, in whatever process they are. Returns at once.

    :param topic: ``chat.lobby``: levels of letters, digits and ``_-:@/~+=,`` between full stops.
    :param payload: what JSON can say, up to 1 MiB.
    :param on_commit: when the transaction that is open here commits, and never if it rolls back; True or the alias of a database. Needs
        ``hendrix.django`` among the INSTALLED_APPS. Where the broker is in that database, it is published by that transaction itself.
    :raises BadTopic, BadPayload: nothing is sent.
    :raises NoTransactions: for ``on_commit`` without ``hendrix.django``.
    :raises NoHub: this is not a process of hendrix, and the environment's HENDRIX_CONTROL names no control socket of one.
    :raises OSError, LocalError: it is not, and the hendrix of that socket cannot be reached, or refuses.
    """
    if on_commit is not False:
        _publish_on_commit(topic, encoded(check_topic(topic), payload), on_commit if isinstance(on_commit, str) else None)
        return
    if _branch.current is not None:
        _branch.current.publish(topic, payload)
        return
    control = os.environ.get("HENDRIX_CONTROL")
    if control in (None, "", "off"):
        raise NoHub(ELSEWHERE)
    encoded(check_topic(topic), payload)
    client.publish(topic, payload, control=control)


def _publish_on_commit(topic: str, payload_text: str, alias: str | None) -> None:
    if publish_on_commit is None:
        raise NoTransactions(f'{topic}: on_commit needs "hendrix.django" among the INSTALLED_APPS')
    branch = _branch.current
    schema = branch.schema if branch is not None else schema_of(os.environ.get("HENDRIX_BROKER", ""))
    payload = json.loads(payload_text)  # it may change before the commit
    publish_on_commit(topic, payload_text, declared.rule_of(topic), lambda: publish(topic, payload), schema, alias)


def topic(pattern: str, *, history: int = 0, age: float = 3600.0, policy: str = "oldest") -> None:
    """Say what is kept of the topics of a pattern, and what becomes of messages that a subscriber is too slow for.

    :param history: messages of each topic for those who come back or come later, 10,000 at most.
    :param age: seconds after which they are no longer kept.
    :param policy: ``oldest``, ``latest`` or ``disconnect``, see `hendrix.hey_joe.rules.Rule`.
    :raises BadTopic, ValueError: nothing is changed.
    """
    declared.rule(check_pattern(pattern), Rule(history, age, policy))


def on(pattern: str, *, everywhere: bool = False, threads: int = 1) -> Callable[[Function], Function]:
    """Have the function called with each `Event` of the topics of a pattern: once in the whole tree, by one of its processes.

    ::

        @hey_joe.on("orders.*")
        def order(event): ...

    :param everywhere: in every process instead.
    :param threads: calls at a time in each process. With one, a process calls in the order in which was published.
    """
    check_pattern(pattern)
    places = _places(threads)

    def decorated(function: Function) -> Function:
        name = _name_of(function)
        declared.handler(Handler(function, name, None if everywhere else f"on {pattern} {name}", pattern, places))
        return function

    return decorated


def consumer(queue: str, *, threads: int = 1) -> Callable[[Function], Function]:
    """Have the function called with each `Event` of a queue, by exactly one process, at most once. See `enqueue`.

    :param queue: its name, spelled as a topic is.
    :param threads: calls at a time in each process.
    """
    check_topic(queue)
    places = _places(threads)

    def decorated(function: Function) -> Function:
        declared.handler(Handler(function, _name_of(function), queue, None, places))
        return function

    return decorated


def enqueue(
    queue: str, payload: Any, *, then: str | None = None, expires: float = EXPIRES, durable: bool = False, key: str | None = None
) -> Reply:
    """Give a payload to exactly one consumer of a queue, at most once. Returns at once.

    :param payload: what JSON can say, up to 1 MiB.
    :param then: what the consumer returns is published on this topic.
    :param expires: seconds after which nobody begins it any more.
    :param durable: at least once instead: it is begun again where its process or its node has died. Needs a broker.
    :param key: the event's ``key`` for one that is durable, by which its consumer sees that it was there before; a new one if None.
    :returns: a handle on the reply, for code that may wait for it: no view may.
    :raises BadTopic, BadPayload: nothing is sent.
    :raises NotDurable: the broker is in memory, which keeps nothing for long.
    :raises NoHub: this is not a process of hendrix.
    """
    reply = Reply(queue)
    if durable or key is not None:
        key = token_hex(8) if key is None else key
    _current().enqueue(queue, payload, then, expires, reply.given if reply.may_wait else None, key)
    return reply


def position() -> str:
    """The id at which the hub stands, of all topics. A page that is made after this, and a client that begins at this id, miss nothing."""
    branch = _current()
    id: str = answer_of(branch, branch.position)
    return id


def presence(topic: str) -> dict[str, Any]:
    """Who is there: ``connections``, how many subscribers the topic itself has, and ``who``, the names among them."""
    branch = _current()
    there: dict[str, Any] = answer_of(branch, lambda: branch.presence(check_topic(topic)))
    return there


def history(topic: str) -> list[Event]:
    """The messages that are kept of a topic, the oldest first."""
    branch = _current()
    return [Event.of(message) for message in answer_of(branch, lambda: branch.history(check_topic(topic)))]


def _current() -> _branch.Branch:
    if _branch.current is None:
        raise NoHub(ELSEWHERE)
    return _branch.current


def _places(threads: int) -> int:
    if isinstance(threads, bool) or not isinstance(threads, int) or not 0 < threads <= 1024:
        raise ValueError(f"threads is a number from 1 to 1024, not {threads!r}")
    return threads


def _name_of(function: Function) -> str:
    """With its module. Raises TypeError for what cannot be called, or has to be awaited."""
    if not callable(function) or iscoroutinefunction(function):
        raise TypeError(f"a handler is a plain function, which is called on the crew, not {function!r}")
    return f"{getattr(function, '__module__', '')}.{name_of(function)}"
