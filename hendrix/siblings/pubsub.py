"""The sibling pubsub: the hub for programs without HTTP, in the JSON lines of the control socket, on an endpoint of its own."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from twisted.application.service import Service
from twisted.application.strports import service as service_from
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.protocol import Factory, Protocol

from hendrix.control.commands import Caller, Commands
from hendrix.control.conversation import Conversation, Refusal
from hendrix.errors import ConfigurationError, LocalError
from hendrix.hey_joe.commands import add_hub
from hendrix.hey_joe.tokens import SHORTEST
from hendrix.siblings.context import Context


def make_service(context: Context, endpoint: str, token_file: str = "", token: str = "", clients: int = 1000) -> Service:
    """The hub for programs without HTTP: publish, subscribe and history in JSON lines.

    :param endpoint: where to listen, as in tcp\\:7008.
    :param token_file: a file with the token that clients give in their first line.
    :param token: the same in place of the file; it is seen in the list of processes.
    :param clients: how many may be connected.
    """
    if bool(token) == bool(token_file):
        raise ConfigurationError("give either token_file or token")
    if token_file:
        token = _token_in(token_file)
    if len(token) < SHORTEST:
        raise ConfigurationError(f"the token is too short: give at least {SHORTEST} characters, as openssl rand -hex 32 makes them")
    return PubSub(context, endpoint, token, clients)


def _token_in(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"token_file={path}: {getattr(error, 'strerror', None) or 'it is no text'}") from None


class PubSub(Service):
    """It listens, and holds the conversations."""

    def __init__(self, context: Context, endpoint: str, token: str, clients: int) -> None:
        self._endpoint, self._conversations = endpoint, set[Conversation]()
        commands = Commands()
        add_hub(commands, lambda: context.hub)
        self._listening: Any = service_from(endpoint, Clients(commands, self._conversations, token, clients), context.reactor)

    def describe(self) -> str:
        count = len(self._conversations)
        return f"{self._endpoint}, {count} client{'s' * (count != 1)}"

    def numbers(self) -> dict[str, int | float]:
        return {"clients": len(self._conversations)}

    def privilegedStartService(self) -> None:
        self._listening.privilegedStartService()

    def startService(self) -> None:
        super().startService()
        self._listening.startService()

    def stopService(self) -> Deferred[Any]:
        """Fires when nobody can connect any more. What has been sent to clients is still written out."""
        super().stopService()
        for conversation in list(self._conversations):
            conversation.transport.loseConnection()
        return maybeDeferred(self._listening.stopService)


class Clients(Factory[Protocol]):
    """A conversation for each client, with a door of its own."""

    noisy = False

    def __init__(self, commands: Commands, conversations: set[Conversation], token: str, most: int) -> None:
        self._commands, self._conversations, self._token, self._most = commands, conversations, token, most

    def buildProtocol(self, addr: object) -> Protocol:
        if len(self._conversations) >= self._most:
            return Refusal(self._most)
        return Conversation(Door(self._commands, self._token), self._conversations)


class Door(Commands):
    """The commands for one client: none but for the token, which it gives once."""

    def __init__(self, commands: Commands, token: str) -> None:
        super().__init__()
        self._commands, self._token, self._open = commands, token.encode(), False

    def run(self, name: object, arguments: Mapping[str, Any], caller: Caller | None = None) -> Deferred[Any]:
        given = dict(arguments)
        token = given.pop("token", None)
        if not self._open:
            self._open = isinstance(token, str) and hmac.compare_digest(token.encode(errors="replace"), self._token)
        if not self._open:
            return fail(LocalError("the token is missing or wrong: give it with the first command, as token"))
        return self._commands.run(name, given, caller)
