"""The streams of events of those who look at the live page: first the whole picture, then, once a second, what is new.

That there is news is published on a topic, and only while somebody looks. Who is too slow for it is shown the whole picture again. The hub
is one of our own, in this process: the site's may be far away, or in trouble itself, and whoever may subscribe there need not be one who
may look.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from twisted.web.http import Request
from zope.interface import implementer

# The topic.
TOPIC = "$status"
# Who may look at the same time.
MOST = 32
# Messages that may wait for one who looks.
WAITING = 5


class Member(Protocol):
    """A subscriber, as the hub knows it."""

    def subscribe(self, patterns: Mapping[str, str | None]) -> Any: ...
    def take(self) -> Any: ...
    def leave(self) -> None: ...


class Branch(Protocol):
    """The hub, as this process knows it."""

    def join(self, subscriber: Any, who: str | None = None, messages: int = ...) -> Any: ...
    def publish(self, topic: str, payload: Any, *, own: bool = ...) -> None: ...


class Streams:
    """All of them. Reactor thread.

    :param join: makes the hub, when somebody looks for the first time; gives the way to it.
    :param whole: gives the whole picture as JSON text.
    """

    def __init__(self, join: Callable[[], Any], whole: Callable[[], str]) -> None:
        self._join, self._whole = join, whole
        self._branch: Branch | None = None
        self._open: set[Looking] = set()
        self._news = ""

    def __len__(self) -> int:
        return len(self._open)

    def describe(self) -> str:
        return f"{len(self._open) or 'nobody'} looking"

    def publish(self, number: int, news: str) -> None:
        """To all who look: what is new in this second, as JSON text."""
        if self._open and self._branch is not None:
            self._news = news
            self._branch.publish(TOPIC, number, own=True)

    def open(self, request: Request, may_act: bool) -> None:
        """Send events to this request from now on. With 503 for it if enough do so already."""
        if len(self._open) >= MOST:
            request.setResponseCode(503)
            request.setHeader("Content-Type", "text/plain; charset=utf-8")
            request.setHeader("Retry-After", "2")
            request.write(b"enough people are looking\n")
            request.finish()
            return
        if self._branch is None:
            self._branch = self._join()
        looking = Looking(request, may_act, self._whole, lambda: self._news, self._open.discard)
        self._open.add(looking)
        looking.begin(self._branch)

    def close(self) -> None:
        """The end."""
        for looking in list(self._open):
            looking.cut(0, "")


@implementer(IPushProducer)
class Looking:
    """One who looks: a subscriber of the hub that writes to a request."""

    def __init__(
        self, request: Request, may_act: bool, whole: Callable[[], str], news: Callable[[], str], gone: Callable[[Looking], object]
    ) -> None:
        self._request, self._may_act, self._whole, self._news, self._gone = request, may_act, whole, news, gone
        self._room, self._behind, self._over = True, True, False
        self._member: Member | None = None

    def begin(self, branch: Branch) -> None:
        request = self._request
        request.setHeader("Content-Type", "text/event-stream; charset=utf-8")
        request.setHeader("X-Accel-Buffering", "no")
        request.notifyFinish().addBoth(self._left)
        request.registerProducer(self, True)
        self._member = branch.join(self, messages=WAITING)
        self._send("hello", f'{{"may_act": {"true" if self._may_act else "false"}}}')
        self._member.subscribe({TOPIC: None}).addCallback(lambda _: self.ready())

    # Subscriber.

    def ready(self) -> None:
        """Write what there is, as long as the client takes it."""
        while self._room and not self._over and self._member is not None:
            if self._behind:
                self._behind = False
                self._send("whole", self._whole())
            item, another = self._member.take(), self._member.take()
            if item is None:
                return
            if another is None and hasattr(item, "payload_text"):
                self._send("news", self._news())
            else:  # some of the news is gone
                while self._member.take() is not None:
                    pass
                self._behind = True

    def cut(self, code: int, reason: str) -> None:
        """Nothing more will come."""
        if not self._over:
            self._left()
            self._request.unregisterProducer()
            self._request.finish()

    def _send(self, event: str, text: str) -> None:
        self._request.write(f"event: {event}\ndata: {text}\n\n".encode())

    def _left(self, _: Failure | None = None) -> None:
        if not self._over:
            self._over = True
            self._gone(self)
            if self._member is not None:
                self._member.leave()

    # IPushProducer.

    def pauseProducing(self) -> None:
        self._room = False

    def resumeProducing(self) -> None:
        self._room = True
        self.ready()

    def stopProducing(self) -> None:
        """The request hears of it."""
