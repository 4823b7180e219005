"""What a sibling is given: the way to the rest of the tree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from hendrix.channel.private import PrivateEndpoint
from hendrix.crosstown import traffic
from hendrix.crosstown.task import Task
from hendrix.hey_joe.branch import Branch, Member, NoHub
from hendrix.hey_joe.declared import Event
from hendrix.hey_joe.message import Gap
from hendrix.hey_joe.topics import check_pattern
from hendrix.options import Settings
from hendrix.threads.crew import Crew

Hear = Callable[[Event], object]


class Context:
    """One for each sibling. Its parts may be used when the sibling has been started; `subscribe` also before.

    :ivar name: of the sibling in the tree.
    :ivar reactor: the one it lives in.
    :ivar settings: those of the site.
    """

    def __init__(
        self,
        name: str,
        reactor: Any,
        settings: Settings,
        hub: Callable[[], Branch | None],
        crew: Callable[[], Crew | None],
        private: Callable[[str], PrivateEndpoint] | None = None,
    ) -> None:
        self.name, self.reactor, self.settings = name, reactor, settings
        self.log = Logger(namespace=f"hendrix.siblings.{name}")
        self._hub, self._crew, self._private = hub, crew, private
        self._subscriptions: list[Subscription] = []
        self._open = False

    @property
    def crew(self) -> Crew | None:
        """The threads that run the application; None if other processes do, or while they do not run."""
        return self._crew()

    @property
    def hub(self) -> Branch:
        """The hub as this process sees it. Raises `NoHub` before the start and after the end."""
        branch = self._hub()
        if branch is None:
            raise NoHub("the hub does not run yet, or not any more: use it from startService on")
        return branch

    def private(self, onion_port: int) -> PrivateEndpoint:
        """The way into the site for this sibling alone, on which no proxy is believed. Bound before siblings start; ask when you are made.

        :raises LookupError: there is no site in this tree.
        """
        if self._private is None:
            raise LookupError("there is no site in this tree")
        way = self._private(self.name)
        way.onion_port = onion_port
        return way

    def publish(self, topic: str, payload: Any) -> None:
        """Send a payload to all subscribers of a topic, in whatever process they are. Any thread; returns at once.

        :raises BadTopic, BadPayload, NoHub: nothing is sent.
        """
        self.hub.publish(topic, payload)

    def subscribe(self, pattern: str, function: Hear) -> Subscription:
        """Have a function called on the reactor thread with each `Event` of the topics of a pattern, until the sibling stops.

        What the function raises is logged. It must not block: `call` runs what does.

        :raises BadTopic: it is no pattern.
        """
        subscription = Subscription(self, check_pattern(pattern), function)
        self._subscriptions.append(subscription)
        if self._open:
            subscription.begin(self.hub)
        return subscription

    def call(self, function: Callable[[], Any], name: str = "") -> Deferred[Any]:
        """Call a function that may block: as a crosstown task where the application runs in this process, else on a thread of the reactor.

        :param name: for logs.
        :returns: what it returned or raised, on the reactor thread.
        """
        dispatcher = traffic.serving
        if dispatcher is None:
            return deferToThreadPool(self.reactor, self.reactor.getThreadPool(), function)
        answer: Deferred[Any] = Deferred()
        post = self.hub.post

        def called() -> None:
            try:
                value = function()
            except BaseException as error:
                post(answer.errback, error)
                raise
            post(answer.callback, value)

        task = Task(called, name or getattr(function, "__qualname__", repr(function)), frozenset())
        task.cause = f"the sibling {self.name}"
        dispatcher.submit(task)
        return answer

    # The node's side.

    def open(self) -> None:
        """The sibling is about to start: it hears what it has subscribed to."""
        self._open = True
        for subscription in self._subscriptions:
            subscription.begin(self.hub)

    def close(self) -> None:
        """It has stopped, and hears no more."""
        self._open = False
        for subscription in self._subscriptions:
            subscription.stop()
        self._subscriptions.clear()


class Subscription:
    """A function that hears of topics."""

    def __init__(self, context: Context, pattern: str, function: Hear) -> None:
        self._context, self._pattern, self._function = context, pattern, function
        self._member: Member | None = None

    def stop(self) -> None:
        """Hear no more; without effect the second time."""
        member, self._member = self._member, None
        if member is not None:
            member.leave()

    def begin(self, branch: Branch) -> None:
        self._member = branch.join(self)
        self._member.subscribe({self._pattern: None})

    def ready(self) -> None:
        log = self._context.log
        while self._member is not None and (item := self._member.take()) is not None:
            if isinstance(item, Gap):
                log.warn("{name} has missed messages: {gap}", name=self._context.name, gap=item)
                continue
            try:
                self._function(Event.of(item))
            except Exception:
                log.failure("{name} failed at a message of {topic}", name=self._context.name, topic=item.topic)

    def cut(self, code: int, reason: str) -> None:
        """The hub has gone, and we with it soon."""
        self._member = None
