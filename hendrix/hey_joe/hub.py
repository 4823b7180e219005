"""The hub: one for the whole tree, in the parent, or in the only process. It sends each process what somebody there wants to hear. Its
broker gives each message its id, keeps the histories, and knows who is there. Processes reach the hub by a `branch.Branch`, also its own.

The rules:

1. A message has one place: its offset grows over all topics, and each process is sent its messages in that order.
2. A process is sent a message once, however many of its subscribers hear it, and not at all if none does.
3. At most once, and nothing is lost in silence: where a message is left out, a gap goes its way in its place.
4. Membership ends with the uplink, and the uplink with the process. The hub survives them all.

Entries that come from a branch (see `uplink`)::

    ["publish", topic, payload]                          payloads are JSON as text
    ["missed", topic, count]                             so many were published and did not fit
    ["join", number, member, who, {pattern: id or null}]
    ["leave", member, [pattern, ...] or null]            null is all of them
    ["rule", pattern, {"history": ...}]
    ["serve", queue, pattern or null, places]            up to so many jobs of the queue at a time
    ["rest"]                                             no more jobs
    ["enqueue", queue, number or null, then or null, expires, key or null, payload]
    ["unqueued", queue, count]
    ["done", job, result or null]     ["failed", job, why]     ["refused", job]
    ["result", store, id, keep, text]                     see `results`
    ["synced", number]
    ["ask", number, question, argument]

Entries that go to a branch::

    ["message", topic, id, time, payload]
    ["gap", topic, count or null, reason]
    ["part", number, [message, ...]]                      of what is then joined or answered
    ["joined", number, position, [[pattern, reason], ...]]
    ["job", job, queue, wanted, key, attempt, topic, id, time, payload]   wanted: somebody wants the result
    ["reply", number, true, result] or ["reply", number, false, why]
    ["answer", number, value]
    ["sync", number]                                      say "synced" behind all that was said before

Everything here runs on the reactor thread.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from hendrix.hey_joe.broker import Broker
from hendrix.hey_joe.brokers.memory import Memory
from hendrix.hey_joe.message import OVERLOAD, Gap, Message, encoded
from hendrix.hey_joe.queues import DIED, DONE, FAILED, RETURNED, Asker, Job, Queue, Queues, Settled
from hendrix.hey_joe.remote import Feed, Listener, Remote, entry_of
from hendrix.hey_joe.results import Results
from hendrix.hey_joe.rules import Rule, Rules
from hendrix.hey_joe.topics import Index, is_exact
from hendrix.hey_joe.uplink import Uplink

log = Logger(namespace="hendrix.hey_joe")


class Sync(NamedTuple):
    """Processes that are to say what they have to say."""

    waits_for: set[Remote]
    done: Callable[[], None]


class Hub:
    """
    :param clock: seconds since 1970.
    :param broker: None for one in memory.
    """

    def __init__(self, clock: Callable[[], float] = time.time, epoch: str = "", broker: Broker | None = None) -> None:
        self.broker: Broker = Memory(clock, epoch) if broker is None else broker
        self.rules = Rules()
        self.results = Results(clock)
        self.queues: Queues[Remote] = Queues(clock, self._send_job, self._lost_job)
        self.counts = Counter[str]()
        self._listening: Index[Listener] = Index()
        self._remotes: dict[Remote, None] = {}
        self._patterns = Counter[str]()  # how many listeners have each
        self._feeds: dict[str, Feed] = {}
        self._settling = False
        self._syncing: dict[int, Sync] = {}
        self._syncs = itertools.count(1)
        self._losses: Counter[tuple[str, str]] = Counter()
        self._take: dict[str, Callable[..., None]] = {
            "publish": self._publish, "missed": self._missed, "join": self._join, "leave": self._leave, "rule": self._rule,
            "serve": self._serve, "rest": self._rest, "enqueue": self._enqueue, "unqueued": self._unqueued, "done": self._done,
            "failed": self._failed, "refused": self._refused, "ask": self._ask,
            "result": self._result, "synced": self._synced,
        }  # fmt: skip
        self.broker.open(self)

    def start(self) -> None:
        """The process runs: whatever the broker has beside the reactor begins."""
        self.broker.start()

    def attach(self, uplink: Uplink) -> None:
        """A process has come: its uplink's callbacks are ours from now on."""
        remote = Remote(uplink, self.counts)
        self._remotes[remote] = None
        uplink.received = lambda message: self._received(remote, message)
        uplink.lost = lambda: self._lost(remote)
        uplink.room = remote.catch_up

    def describe(self) -> str:
        topics, subscribers = self._topics, self._subscribers
        here = f"{topics} topic{'s' * (topics != 1)}, {subscribers} subscriber{'s' * (subscribers != 1)}"
        return f"{self.broker.describe()}, {here}"

    def topics(self, most: int) -> list[tuple[str, int]]:
        """Topics and patterns of topics with the most subscribers here, each with their number; not those of our own."""
        counts: Counter[str] = Counter()
        for remote in self._remotes:
            counts.update({pattern: many for pattern, many in remote.patterns.items() if pattern[0] != "$"})
        return sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:most]

    def numbers(self) -> dict[str, int | float]:
        """For statistics: what is there now, and what has been counted."""
        return {
            "topics": self._topics,
            "subscribers": self._subscribers,
            "processes": len(self._remotes),
            "published": self.counts["published"],
            **self.broker.numbers(),
            "missed": self.counts["missed"],
            "queues": len(self.queues),
            "queue_waiting": self.queues.waiting,
            "queue_working": self.queues.working,
            "queue_lost": self.queues.lost,
        }

    @property
    def _topics(self) -> int:
        """How many topics have a subscriber of their own here."""
        return len({pattern for remote in self._remotes for pattern in remote.patterns if is_exact(pattern) and pattern[0] != "$"})

    @property
    def _subscribers(self) -> int:
        return sum(len(remote.members) for remote in self._remotes)

    def sweep(self) -> None:
        """Let go of what is too old, and log what queues have lost; about once a second."""
        self.broker.sweep()
        for queue in self.queues.sweep():
            self._unfeed(queue)
        losses, self._losses = self._losses, Counter()
        for (queue_name, reason), count in losses.items():
            log.warn("the queue {queue} has lost {count} messages: {reason}", queue=queue_name, count=count, reason=reason)
        self._settle()

    def stop(self) -> Deferred[None]:
        """The process ends: log what is lost with it. Fires when the broker has let go."""
        if self.broker.alone:
            for name, count in self.queues.abandon().items():
                log.error("{count} messages of the queue {name} were not handled: the process ends", count=count, name=name)
        return self.broker.close()

    # Uplinks.

    def _received(self, remote: Remote, message: dict[str, Any]) -> None:
        try:
            for entry in message["entries"]:
                self._take[entry[0]](remote, *entry[1:])
        finally:
            self._settle()

    def _lost(self, remote: Remote) -> None:
        del self._remotes[remote]
        remote.lost = True
        for member in list(remote.members):
            self._leave(remote, member, None)
        for queue in self.queues.gone(remote):
            self._left(queue)
        self.results.gone(remote)
        for number in [number for number, sync in self._syncing.items() if remote in sync.waits_for]:
            self._synced(remote, number)
        self._settle()

    def _settle(self) -> None:
        """Send what was written to the remotes. What comes of that at once, in this process, is sent too before this returns."""
        if self._settling:
            return
        self._settling = True
        try:
            self.broker.flush()
            while ready := [remote for remote in self._remotes if remote.ready]:
                for remote in ready:
                    remote.flush()
        finally:
            self._settling = False

    # Messages.

    def _publish(self, remote: Remote | None, topic: str, payload_text: str) -> None:
        self.counts["published"] += 1
        self.broker.publish(topic, payload_text, self.rules.of(topic))

    def _missed(self, remote: Remote, topic: str, count: int) -> None:
        self.counts["missed"] += count
        log.warn("{count} messages for {topic} were published faster than they could be sent, and are lost", count=count, topic=topic)
        self.broker.miss(topic, count)

    def deliver(self, message: Message) -> None:
        for listener in self._listening.match(message.topic):
            listener.give(message)

    def miss(self, topic: str, count: int | None, reason: str) -> None:
        listeners = self._listening.match(topic) if is_exact(topic) else [remote for remote in self._remotes if topic in remote.patterns]
        for listener in listeners:
            if isinstance(listener, Remote):
                listener.miss(topic, count, reason)

    def settle(self) -> None:
        """What came without an uplink is on its way."""
        self._settle()

    def _announce(self, topic: str, payload: Any) -> None:
        """Publish on a topic of our own, if anybody may be there to hear it or it has a history."""
        if not self.broker.alone or self._listening.match(topic) or self.rules.of(topic).history:
            self._publish(None, topic, encoded(topic, payload))

    def _rule(self, remote: Remote, pattern: str, rule: dict[str, Any]) -> None:
        self.rules.set(pattern, Rule(**rule))

    # Members.

    def _join(self, remote: Remote, number: int, member: int, who: str | None, patterns: dict[str, str | None]) -> None:
        new = [pattern for pattern in patterns if remote.join(member, pattern)]
        for pattern in new:
            if remote.patterns[pattern] == 1:
                self._listen(pattern, remote)

        def past(at: str, messages: list[Message], gaps: list[Gap]) -> None:
            remote.add_parts(number, messages)
            remote.add(["joined", number, at, [[gap.topic, gap.reason] for gap in gaps]])

        self.broker.after(patterns, past)
        for pattern in new:
            if _is_place(pattern):
                self.broker.join(pattern, (remote, member), who)

    def _leave(self, remote: Remote, member: int, patterns: list[str] | None) -> None:
        for pattern in list(remote.members.get(member, ())) if patterns is None else patterns:
            if not remote.leave(member, pattern):
                continue
            if pattern not in remote.patterns:
                self._unlisten(pattern, remote)
            if _is_place(pattern):
                self.broker.leave(pattern, (remote, member))

    def _listen(self, pattern: str, listener: Listener) -> None:
        self._listening.add(pattern, listener)
        self._patterns[pattern] += 1
        if self._patterns[pattern] == 1:
            self.broker.subscribe(pattern)

    def _unlisten(self, pattern: str, listener: Listener) -> None:
        self._listening.discard(pattern, listener)
        self._patterns[pattern] -= 1
        if not self._patterns[pattern]:
            del self._patterns[pattern]
            self.broker.unsubscribe(pattern)

    def present(self, topic: str, event: str, who: str | None, connections: int) -> None:
        self._announce(f"$presence.{topic}", {"topic": topic, "event": event, "who": who, "connections": connections})

    # Questions.

    def _ask(self, remote: Remote, number: int, question: str, argument: Any) -> None:
        def answer(value: Any) -> None:
            remote.add(["answer", number, value])

        def kept(messages: list[Message]) -> None:
            remote.add_parts(number, messages)
            answer(None)

        if question == "result":
            self._ask_result(remote, number, *argument)
            return
        if question == "presence":
            self.broker.presence(argument, answer)
        elif question == "history":
            self.broker.history(argument, kept)
        else:
            self.broker.position(answer)

    # Results.

    def _result(self, remote: Remote, store: str, id: str, keep: int | None, text: str) -> None:
        self.results.put(remote, store, id, keep, text)

    def _ask_result(self, remote: Remote, number: int, store: str, id: str) -> None:
        """Its id may have come faster than the result, by way of a client: that is on its way then, and here when all have synced."""
        found = self.results.get(store, id)
        others = [other for other in self._remotes if other is not remote]
        if found or not others:
            remote.add(["answer", number, found])
            return
        sync = next(self._syncs)
        self._syncing[sync] = Sync(set(others), lambda: remote.add(["answer", number, self.results.get(store, id)]))
        for other in others:
            other.add(["sync", sync])

    def _synced(self, remote: Remote, number: int) -> None:
        sync = self._syncing[number]
        sync.waits_for.discard(remote)
        if not sync.waits_for:
            del self._syncing[number]
            sync.done()

    # Queues.

    def _serve(self, remote: Remote, name: str, pattern: str | None, places: int) -> None:
        queue = self.queues.serve(name, pattern, remote, places)
        if pattern is not None and name not in self._feeds and self.broker.alone:
            feed = self._feeds[name] = Feed(self.queues, queue)
            self._listen(pattern, feed)
        self.broker.serve(name, pattern)

    def _unfeed(self, queue: Queue[Remote]) -> None:
        feed = self._feeds.pop(queue.name, None)
        if feed is not None and queue.pattern is not None:
            self._unlisten(queue.pattern, feed)

    def _rest(self, remote: Remote) -> None:
        for queue in self.queues.rest(remote):
            self._left(queue)

    def _left(self, queue: Queue[Remote]) -> None:
        """Nobody here serves the queue any more: what is not begun may be begun elsewhere."""
        self.broker.rest(queue.name)
        if not self.broker.alone:
            for job in self.queues.give_back(queue):
                _settled(job, RETURNED)

    def _enqueue(self, remote: Remote, name: str, number: int | None, then: str | None, expires: float, key: str | None, text: str) -> None:
        asker: Asker | None = None
        if number is not None:

            def asker(ok: bool, value: Any) -> None:  # fmt: skip
                remote.add(["reply", number, ok, value])

        self.broker.enqueue(name, text, expires, then, asker, key)

    def _unqueued(self, remote: Remote, name: str, count: int) -> None:
        self.lost(name, None, count, OVERLOAD, told=True)

    def room(self, queue: str) -> int:
        return self.queues.room(queue)

    def work(self, queue: str, message: Message, expires: float, then: str | None, asker: Asker | None, settled: Settled | None) -> None:
        self.queues.put(self.queues.queue(queue), message, expires, then, asker, settled)

    def lost(self, queue: str, id: str | None, count: int, reason: str, told: bool) -> None:
        if reason != FAILED:  # its process has logged that, with the traceback
            self._losses[queue, reason] += count
        if told:
            self._announce(f"$queue.{queue}", {"queue": queue, "lost": id, "count": count, "reason": reason})

    def _send_job(self, remote: Remote, job: Job[Remote]) -> None:
        message = job.message
        wanted = job.then is not None or job.asker is not None
        remote.add(["job", job.number, job.queue.name, wanted, message.key, message.attempt, *entry_of(message)[1:]], message.size)

    def _done(self, remote: Remote, number: int, result: str | None) -> None:
        job = self.queues.done(number)
        if job is None:
            return
        if job.then is not None:
            self._publish(None, job.then, "null" if result is None else result)
        if job.asker is not None:
            job.asker(True, result)
        _settled(job, DONE)

    def _failed(self, remote: Remote, number: int, why: str) -> None:
        job = self.queues.done(number, failed=True)
        if job is not None and job.asker is not None:
            job.asker(False, why)

    def _refused(self, remote: Remote, number: int) -> None:
        queue = self.queues.refuse(number)
        if queue is not None and not queue.places:
            self._left(queue)

    def _lost_job(self, job: Job[Remote], reason: str) -> None:
        name = job.queue.name
        if _settled(job, reason) and reason == DIED:
            return  # it is done again elsewhere, or its broker tells what becomes of it
        if reason != FAILED and job.asker is not None:
            job.asker(False, f"{name}: the message was lost: {reason}")
        self.lost(name, job.message.id, 1, reason, told=job.queue.pattern is None)


def _settled(job: Job[Remote], outcome: str) -> bool:
    """Tell who had the message for us, if anybody had; whether it is his to begin it again."""
    return job.settled is not None and bool(job.settled(outcome))


def _is_place(pattern: str) -> bool:
    """Whether one can be seen to be there."""
    return is_exact(pattern) and pattern[0] != "$"
