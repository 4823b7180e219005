"""The commands by which people and other processes reach the hub over the control socket."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from hendrix.errors import PeerError
from hendrix.hey_joe.branch import Branch
from hendrix.hey_joe.connections import ORDERS
from hendrix.hey_joe.message import Gap, Message
from hendrix.hey_joe.orders import order_to_close, order_to_send


class Caller(Protocol):
    """Who asked, for a command that goes on; `hendrix.control.commands.Caller` has the words."""

    @property
    def room(self) -> bool: ...

    def event(self, event: Any) -> None: ...

    def watch(self, gone: Callable[[], object], room: Callable[[], object] | None = None) -> None: ...


class Table(Protocol):
    """Where commands are added: `hendrix.control.commands.Commands`."""

    def add(self, name: str, run: Callable[[dict[str, Any]], Any], help: str, takes: Mapping[str, str] | None = None) -> None: ...

    def add_stream(
        self, name: str, run: Callable[[dict[str, Any], Any], Any], help: str, takes: Mapping[str, str] | None = None
    ) -> None: ...


TOPIC = {"topic": "chat.lobby, for one"}


def add_hub(commands: Table, branch: Callable[[], Branch | None]) -> None:
    """Add them.

    :param branch: gives that of this process, once it has started.
    """
    hub = OfHub(branch)
    commands.add("publish", hub.publish, "Send a payload to all subscribers of a topic.", {**TOPIC, "payload": "what JSON can say"})
    commands.add("history", hub.history, "The messages that are kept of a topic.", TOPIC)
    commands.add("presence", hub.presence, "How many subscribers a topic has, and their names.", TOPIC)
    since = {"since": "the id of the last message that is known; what came after it is made up for"}
    commands.add_stream("subscribe", hub.subscribe, "Messages, as they come.", {"topic": "or a pattern, as in chat.*", **since})


def add_inner(commands: Table, branch: Callable[[], Branch | None]) -> None:
    """Add those that are for the control socket alone: whoever may use them is the site itself.

    :param branch: as for `add_hub`.
    """
    hub = OfHub(branch)
    result = {"store": "django.tasks/default, for one: the package and the alias of the backend", "key": "the id of the result"}
    commands.add("result", hub.result, "What became of a task of Django, in whatever process; null if it is not known.", result)
    data = {"data": "text, or what JSON can say", "bytes": "in its place, as base64"}
    commands.add("send_to", hub.send_to, "Send something to one connection.", {"connection": "its id", **data})
    whose = {"user": "the primary key of a user", "connection": "or the id of one connection"}
    words = {"code": "of the close, 1008 unless it is given", "reason": "that the client hears"}
    commands.add("close_for", hub.close_for, "Close all connections of a user, or one.", {**whose, **words})


class OfHub:
    """What they do (reactor thread)."""

    def __init__(self, branch: Callable[[], Branch | None]) -> None:
        self._branch_of = branch

    @property
    def _branch(self) -> Branch:
        branch = self._branch_of()
        if branch is None:
            raise PeerError(503, "the hub does not run yet, or not any more")
        return branch

    def publish(self, arguments: dict[str, Any]) -> dict[str, str]:
        if "payload" not in arguments:
            raise PeerError(400, "publish: there is no payload")
        topic = _text(arguments, "topic")
        self._branch.publish(topic, arguments["payload"])
        return {"published": topic}

    def history(self, arguments: dict[str, Any]) -> Deferred[list[dict[str, Any]]]:
        kept = self._branch.history(_text(arguments, "topic"))
        return kept.addCallback(lambda messages: [_as_data(message) for message in messages])

    def presence(self, arguments: dict[str, Any]) -> Deferred[dict[str, Any]]:
        return self._branch.presence(_text(arguments, "topic"))

    def result(self, arguments: dict[str, Any]) -> Deferred[dict[str, Any] | None]:
        return self._branch.result(_text(arguments, "store"), _text(arguments, "key"))

    def send_to(self, arguments: dict[str, Any]) -> dict[str, str]:
        connection = _text(arguments, "connection")
        if ("data" in arguments) == ("bytes" in arguments):
            raise PeerError(400, "send_to: give data, or bytes as base64")
        data = arguments.get("data")
        if "bytes" in arguments:
            try:
                data = b64decode(_text(arguments, "bytes"), validate=True)
            except ValueError:
                raise PeerError(400, "bytes: it is not base64") from None
        self._branch.publish(ORDERS, order_to_send(connection, data), own=True)
        return {"connection": connection}

    def close_for(self, arguments: dict[str, Any]) -> dict[str, str]:
        meant = {name: _key(arguments[name]) for name in ("user", "connection") if arguments.get(name) is not None}
        reason = _text(arguments, "reason") if "reason" in arguments else "logged out"
        try:
            order = order_to_close(meant.get("user"), meant.get("connection"), arguments.get("code", 1008), reason)
        except ValueError as error:
            raise PeerError(400, str(error).replace("hey_joe.", "")) from None
        self._branch.publish(ORDERS, order, own=True)
        return meant

    def subscribe(self, arguments: dict[str, Any], caller: Caller) -> Deferred[dict[str, str]]:
        since = _text(arguments, "since") if arguments.get("since") is not None else None
        return Listening(self._branch, caller).subscribe(_text(arguments, "topic"), since)


class Listening:
    """A caller that subscribes."""

    def __init__(self, branch: Branch, caller: Caller) -> None:
        self._caller = caller
        self._member = branch.join(self)
        caller.watch(self._member.leave, self.ready)

    def subscribe(self, pattern: str, since: str | None) -> Deferred[dict[str, str]]:
        try:
            return self._member.subscribe({pattern: since}).addCallback(lambda position: {"id": position})
        except PeerError:
            self._member.leave()
            raise

    def ready(self) -> None:
        while self._caller.room and (item := self._member.take()) is not None:
            self._caller.event(_as_data(item))

    def cut(self, code: int, reason: str) -> None:
        """It is told, and hears nothing more."""
        self._caller.event({"closed": code, "reason": reason})
        self._member.leave()


def _as_data(item: Message | Gap) -> dict[str, Any]:
    if isinstance(item, Gap):
        return {"gap": item.topic, "lost": item.lost, "reason": item.reason}
    return {"topic": item.topic, "id": item.id, "time": item.time, "payload": item.payload}


def _key(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise PeerError(400, f"{value!r:.100}: a key is text, or a number")
    return str(value)


def _text(arguments: dict[str, Any], name: str) -> str:
    value = arguments.get(name)
    if not isinstance(value, str):
        raise PeerError(400, f"{name}: give it as text")
    return value
