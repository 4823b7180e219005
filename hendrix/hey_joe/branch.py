"""The hub as a process sees it: the one place that connections, handlers, views and tasks talk to. See `hub` for the other end.

For whoever holds connections (reactor thread)::

    member = branch.join(subscriber, who="ann")           a Subscriber of `inbox`: ready() and cut(code, reason)
    member.subscribe({"chat.lobby": None, "news.*": last_id})    Deferred of the id at which it stands from then on
    member.take()                                         a Message, a Gap, or None; in ready(), and when there is room again
    member.unsubscribe("news.*")
    member.leave()                                        always, when the connection ends

For whoever publishes (any thread; returns at once): `Branch.publish`, `Branch.enqueue`.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger

from hendrix.errors import LocalError
from hendrix.hey_joe.inbox import CHARACTERS, MESSAGES, Inbox, Subscriber
from hendrix.hey_joe.inlet import Inlet
from hendrix.hey_joe.message import OVERLOAD, Message, encoded
from hendrix.hey_joe.queues import EXPIRES
from hendrix.hey_joe.rules import Rule, Rules
from hendrix.hey_joe.topics import Index, check_pattern, check_topic
from hendrix.hey_joe.uplink import Entry, Outbox, Uplink

log = Logger(namespace="hendrix.hey_joe")

# The close code for subscribers whose hub has gone (RFC 6455 section 7.4.1, by the registry of IANA: service restart).
RESTART = 1012


class NoHub(LocalError):
    """There is no hub here, or not any more."""


class NotDurable(LocalError):
    """Messages of queues are not durable here: the broker is in memory."""


class Jobs(Protocol):
    """Who does the jobs of queues."""

    def do(self, number: int, queue: str, message: Message, wanted: bool) -> None:
        """Do a job, then say `Branch.done` or `Branch.failed`; or say `Branch.refused`.

        :param wanted: whether somebody wants what comes of it.
        """


class Branch:
    """One for a process.

    :param post: has the reactor make a call soon, from any thread: `Mailbox.post`.
    :param durable: whether a message of a queue can survive its process.
    :param schema: of the broker, if that is PostgreSQL.

    :ivar thread: the reactor's, as `threading.get_ident` says it.
    :ivar jobs: who does what this process serves.
    """

    def __init__(self, uplink: Uplink, post: Callable[..., object], durable: bool = False, schema: str | None = None) -> None:
        self.durable, self.schema = durable, schema
        self._uplink, self._outbox, self.post = uplink, Outbox(uplink), post
        self._inlet = Inlet(lambda: post(self._drain))
        self._members: dict[int, Member] = {}
        self._hearing: Index[Member] = Index()
        self._numbers = itertools.count(1)
        self._asked: dict[int, Callable[..., object]] = {}
        self._parts: dict[int, list[Message]] = {}
        self.rules = Rules()
        self.jobs: Jobs | None = None
        self.thread = threading.get_ident()
        self.alive = True
        uplink.received, uplink.lost, uplink.room = self._received, self.close, self._drain
        self._take: dict[str, Callable[..., None]] = {
            "message": self._message, "gap": self._gap, "part": self._part, "joined": self._joined, "answer": self._answer,
            "reply": self._answered, "job": self._job, "sync": lambda number: self.tell(["synced", number]),
        }  # fmt: skip

    # Any thread.

    def publish(self, topic: str, payload: Any, *, own: bool = False) -> None:
        """Send a payload to all subscribers of a topic, in whatever process they are. Returns at once.

        What one thread publishes arrives in that order. When more is published than the hub can take, the rest is left out, which is
        logged, and the subscribers are told of the gap.

        :param payload: what JSON can say. It is made into JSON here, so that it may change afterwards.
        :param own: the topic may be one of hendrix's own, with ``$``.
        :raises BadTopic, BadPayload: nothing is sent.
        :raises NoHub: the process ends.
        """
        text = encoded(check_topic(topic, own), payload)
        self._put(["publish", topic, text], len(text))

    def enqueue(
        self,
        queue: str,
        payload: Any,
        then: str | None = None,
        expires: float = EXPIRES,
        replied: Callable[[bool, Any], object] | None = None,
        key: str | None = None,
    ) -> None:
        """Give a payload to exactly one consumer of a queue, at most once. Returns at once.

        :param then: what the consumer returns is published on this topic.
        :param expires: seconds after which nobody begins it any more.
        :param replied: called on the reactor thread, or here and now, with whether it was done, and what the consumer returned as JSON
            or why it was not.
        :param key: the message is delivered at least once, under this idempotency key.
        :raises BadTopic, BadPayload: nothing is sent.
        :raises NoHub: the process ends.
        """
        text = encoded(check_topic(queue), payload)
        if then is not None:
            check_topic(then)
        if isinstance(expires, bool) or not isinstance(expires, (int, float)) or not 0 < expires < float("inf"):
            raise ValueError(f"expires is a number of seconds above 0, not {expires!r}")
        if key is not None and not self.durable:
            raise NotDurable(f"{queue}: no message is durable with the broker memory:; start hendrix with --broker=redis://... for that")
        number = None
        if replied is not None:
            number = next(self._numbers)
            self._asked[number] = replied
        if not self._put(["enqueue", queue, number, then, float(expires), key, text], len(text)) and number is not None:
            self._answered(number, False, f"{queue}: the message was lost: {OVERLOAD}")

    def keep_result(self, store: str, id: str, values: Any, keep: int | None = None) -> None:
        """Have the hub keep a result, or the newest values of one, see `results`. Returns at once.

        :param keep: it has ended, and so many that have are kept in the store.
        :raises BadPayload: the values are no JSON, or too large; nothing is sent.
        :raises NoHub: the process ends.
        """
        text = encoded(store, values)
        self._put(["result", store, id, keep, text], len(text))

    def _put(self, entry: Entry, size: int = 0) -> bool:
        if not self.alive:
            raise NoHub("the hub has gone: this process is about to end")
        return self._inlet.put(entry, size)

    # Connections. From here on the reactor thread.

    def join(self, subscriber: Subscriber, who: str | None = None, messages: int = MESSAGES, characters: int = CHARACTERS) -> Member:
        """Somebody is there, who hears of nothing yet.

        :param who: the name under which others see that he is there; None for none.
        :param messages: how many may wait for him, ``characters`` of them at most.
        """
        number = next(self._numbers)
        self._members[number] = member = Member(self, number, subscriber, who, messages, characters)
        return member

    def position(self) -> Deferred[str]:
        """The id at which the hub stands: it stands for all that is published before, whatever the topic."""
        return self._ask("position", "")

    def presence(self, topic: str) -> Deferred[dict[str, Any]]:
        """``connections``, how many subscribers the topic has, and ``who``, their names."""
        return self._ask("presence", check_topic(topic))

    def history(self, topic: str) -> Deferred[list[Message]]:
        """The messages that are kept of the topic."""
        return self._ask("history", check_topic(topic, own=True))

    def result(self, store: str, id: str) -> Deferred[dict[str, Any] | None]:
        """What the hub keeps of a result: its values; None for one that is not there, or no longer. ``lost_at`` is among them, in seconds
        since 1970, if its process has ended before it did."""

        def values(found: list[Any]) -> dict[str, Any] | None:
            if not found:
                return None
            first, last, lost_at = found
            return {**json.loads(first), **json.loads(last), **({} if lost_at is None else {"lost_at": lost_at})}

        return self._ask("result", [store, id]).addCallback(values)

    def rule(self, pattern: str, rule: Rule) -> None:
        """Say what is kept of topics, and what becomes of messages for slow subscribers."""
        self.rules.set(pattern, rule)
        self.tell(["rule", pattern, {"history": rule.history, "age": rule.age, "policy": rule.policy}])

    @property
    def subscribers(self) -> int:
        """How many there are in this process."""
        return len(self._members)

    def numbers(self) -> dict[str, int | float]:
        return {"members": len(self._members), "waiting": sum(len(member) for member in self._members.values())}

    def close(self) -> None:
        """The hub has gone, or we leave it: the members are cut."""
        if not self.alive:
            return
        self._drain()
        self.alive = False
        for member in list(self._members.values()):
            subscriber = member.subscriber
            member.leave()
            if subscriber is not None:
                subscriber.cut(RESTART, "the server restarts")
        asked, self._asked = self._asked, {}
        for answered in asked.values():
            answered(False, "the hub has gone")

    # Jobs.

    def serve(self, queue: str, pattern: str | None, places: int) -> None:
        """Do jobs of a queue here, up to so many at a time."""
        self.tell(["serve", queue, pattern, places])

    def rest(self) -> None:
        """Do no more jobs here than have come."""
        self.tell(["rest"])

    def done(self, number: int, result: str | None) -> None:
        """A job is done; with what came of it as JSON."""
        self.tell(["done", number, result])

    def failed(self, number: int, why: str) -> None:
        """A job has failed: one line."""
        self.tell(["failed", number, why])

    def refused(self, number: int) -> None:
        """A job has come too late, and was not begun. The hub gives us no more."""
        self.tell(["rest"])
        self.tell(["refused", number])

    # The uplink.

    def tell(self, entry: Entry) -> None:
        """Send an entry, after all that was published before."""
        if self.alive:
            self._drain()
            self._outbox.add(entry)
            self._outbox.flush()

    def _drain(self) -> None:
        """Send what was published."""
        if self._uplink.congested or not self.alive:
            return  # we are called again when there is room
        entries, missed = self._inlet.take()
        for entry in entries:
            self._outbox.add(entry, len(entry[-1]))
        for (what, name), count in missed.items():
            if what == "result":
                log.warn("{count} states of results of {name} came faster than they could be sent, and are lost", count=count, name=name)
                continue
            self._outbox.add(["missed" if what == "publish" else "unqueued", name, count])
        self._outbox.flush()

    def _ask(self, question: str, argument: Any) -> Deferred[Any]:
        if not self.alive:
            return fail(NoHub("the hub has gone: this process is about to end"))
        answer: Deferred[Any] = Deferred()
        number = next(self._numbers)
        self._asked[number] = lambda ok, value: answer.callback(value) if ok else answer.errback(NoHub(value))
        self.tell(["ask", number, question, argument])
        return answer

    def ask_join(self, member: Member, patterns: Mapping[str, str | None], joined: Callable[..., object]) -> None:
        """Tell the hub of the patterns of a member."""
        number = next(self._numbers)
        self._asked[number] = joined
        self.tell(["join", number, member.number, member.who, dict(patterns)])

    def hear(self, member: Member, patterns: Iterable[str]) -> None:
        """From now on the member gets what matches."""
        for pattern in patterns:
            self._hearing.add(pattern, member)

    def unhear(self, member: Member, patterns: Iterable[str] | None) -> None:
        """From now on it does not; None is for all its patterns, and for good."""
        for pattern in member.patterns if patterns is None else patterns:
            self._hearing.discard(pattern, member)
        self.tell(["leave", member.number, None if patterns is None else list(patterns)])
        if patterns is None:
            self._members.pop(member.number, None)

    def _received(self, message: dict[str, Any]) -> None:
        for entry in message["entries"]:
            self._take[entry[0]](*entry[1:])

    def _made(self, topic: str, id: str, time: float, payload_text: str) -> Message:
        message = Message(topic, id, time, payload_text)
        message.policy = self.rules.of(topic).policy
        return message

    def _message(self, topic: str, id: str, time: float, payload_text: str) -> None:
        message = self._made(topic, id, time, payload_text)
        for member in self._hearing.match(topic):
            member.put(message)

    def _gap(self, topic: str, lost: int | None, reason: str) -> None:
        for member in self._hearing.match(topic):
            member.miss(topic, lost, reason)

    def _answered(self, number: int, *values: Any) -> None:
        answered = self._asked.pop(number, None)
        if answered is not None:
            answered(*values)

    def _answer(self, number: int, value: Any) -> None:
        self._answered(number, True, self._parts.pop(number, []) if value is None else value)

    def _part(self, number: int, messages: list[Entry]) -> None:
        self._parts.setdefault(number, []).extend(self._made(*entry[1:]) for entry in messages)

    def _joined(self, number: int, position: str, gaps: list[tuple[str, str]]) -> None:
        self._answered(number, position, gaps, self._parts.pop(number, []))

    def _job(self, number: int, queue: str, wanted: bool, key: str | None, attempt: int, *message: Any) -> None:
        assert self.jobs is not None  # who has none serves no queue
        job = Message(*message)
        job.key, job.attempt = key, attempt
        self.jobs.do(number, queue, job, wanted)


class Member(Inbox):
    """A subscriber of this process: what waits for it, and what it subscribes to. Reactor thread.

    :ivar who: its name for others.
    :ivar patterns: what it subscribes to.
    """

    def __init__(self, branch: Branch, number: int, subscriber: Subscriber, who: str | None, messages: int, characters: int) -> None:
        super().__init__(subscriber, messages, characters)
        self._branch, self.number, self.who = branch, number, who
        self.patterns: set[str] = set()
        self._left = False

    def subscribe(self, patterns: Mapping[str, str | None]) -> Deferred[str]:
        """Hear of topics from now on. All at once, for then what was missed of them comes in one order.

        :param patterns: each with the id of the message after which to begin, None for now. What has come after the id is made up for, as
            far as there is a history; the rest is a gap.
        :returns: the id at which the subscription stands, to come back with if there is no message until then. It fires after what was
            missed is in the inbox, and never if the member leaves before.
        :raises BadTopic: one of them is no pattern; nothing is subscribed to.
        """
        for pattern in patterns:
            check_pattern(pattern)
        answer: Deferred[str] = Deferred()
        if self.subscriber is None:
            return answer
        if not patterns:
            return self._branch.position()
        self.patterns.update(patterns)

        def joined(position: Any, gaps: Any, messages: Any = None) -> None:
            if messages is None or self.subscriber is None:
                return  # one of us has gone
            self._branch.hear(self, [pattern for pattern in patterns if pattern in self.patterns])
            for pattern, reason in gaps:
                self.miss(pattern, None, reason)
            self.make_up(messages)
            answer.callback(position)

        self._branch.ask_join(self, patterns, joined)
        return answer

    def unsubscribe(self, *patterns: str) -> None:
        """Hear no more of what matches these, which were subscribed to; others may match the same topics."""
        self.patterns.difference_update(patterns)
        if self.subscriber is not None:
            self._branch.unhear(self, patterns)

    def leave(self) -> None:
        """The connection has ended; without effect the second time. The hub cuts it, and calls this, when it goes itself."""
        if not self._left:
            self._left = True
            self.close()
            self._branch.unhear(self, None)


#: The branch of this process, None where there is no hub.
current: Branch | None = None
