"""The sibling irc: a client of an IRC network, whose lines become events, and which speaks for any process of the site (RFC 2812)."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Any

from twisted.application.internet import ClientService, backoffPolicy
from twisted.application.service import Service
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.protocol import Factory

from hendrix.errors import ConfigurationError
from hendrix.hey_joe.declared import Event
from hendrix.siblings.calls import tell, told
from hendrix.siblings.context import Context

if TYPE_CHECKING:
    from hendrix.siblings.irc_client import Client

# Bytes of text in one line: 512 with all that stands before it (RFC 2812 section 2.3).
LONGEST = 400

# Lines that wait to be sent; above that they are dropped.
WAITING = 500

_TARGET = re.compile(r"[^\s,:\x00\x07][^\s,\x00\x07]*")


def make_service(
    context: Context, host: str, nick: str, port: int = 6697, tls: bool = True, ca: str = "", channels: tuple[str, ...] = (),
    account: str = "", password_file: str = "", login: str = "sasl", pace: float = 1.0,
) -> Service:  # fmt: skip
    """A client of an IRC network: lines become events irc.NAME.CHANNEL, and hendrix.siblings.irc.say() speaks from any process.

    :param host: of the network.
    :param nick: the name to be known by; with _ behind it if somebody else has it.
    :param port: of the host.
    :param tls: whether the way there is encrypted.
    :param ca: a file with the certificate of a private authority, PEM.
    :param channels: to join, with commas.
    :param account: to log in to.
    :param password_file: a file with the password of the account.
    :param login: sasl or nickserv.
    :param pace: seconds between two lines, so that the network does not take us for a flood.
    """
    if bool(account) != bool(password_file):
        raise ConfigurationError("account and password_file go together")
    if login not in ("sasl", "nickserv"):
        raise ConfigurationError(f"login={login}: give sasl or nickserv")
    for channel in channels:
        if not _TARGET.fullmatch(channel):
            raise ConfigurationError(f"channels={channel}: that is no name of a channel")
    options = _tls(host, ca) if tls else None
    endpoint: Any = HostnameEndpoint(context.reactor, host, port)
    if options is not None:
        endpoint = wrapClientTLS(options, endpoint)
    password = _text(password_file) if password_file else ""
    return Irc(context, endpoint, Identity(nick, account, password, login), channels, pace)


def say(channel: str, text: str, sibling: str = "irc") -> None:
    """Say something in a channel, or to somebody. Any thread of any process of the site; returns at once.

    :param channel: or the nick of somebody.
    :param text: each line of it is a message, and a long one several.
    :param sibling: its name in the tree.
    :raises NoHub: this is no process of the site.
    :raises ValueError: there can be no such channel.
    """
    if not _TARGET.fullmatch(channel):
        raise ValueError(f"{channel!r} is no name of a channel or a person")
    tell(sibling, {"channel": channel, "text": text})


def topic_of(network: str, channel: str) -> str:
    """The topic of a channel: without its #, and with = for what no topic has."""
    level = re.sub(r"[^\w\-:@/~+=,]", "=", channel.lstrip("#&").lower())
    return f"irc.{network}.{level or '='}"


def lines_of(text: str) -> list[str]:
    """A text as what fits into messages, cut between characters."""
    lines = []
    for line in re.split(r"[\r\n\x00]+", text):
        rest = line.encode(errors="replace")
        while rest:
            piece = rest[:LONGEST].decode(errors="ignore")
            lines.append(piece)
            rest = rest[len(piece.encode()) :]
    return lines


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {getattr(error, 'strerror', None) or 'it is no text'}") from None


def _tls(host: str, ca: str) -> Any:
    try:
        from twisted.internet.ssl import Certificate, optionsForClientTLS
    except ImportError:
        raise ConfigurationError("tls=yes needs more packages: pip install 'hendrix[tls]'") from None
    return optionsForClientTLS(host, trustRoot=Certificate.loadPEM(_text(ca).encode())) if ca else optionsForClientTLS(host)


class Identity:
    """Who we are there."""

    def __init__(self, nick: str, account: str, password: str, login: str) -> None:
        self.nick, self.account, self.password, self.login = nick, account, password, login


class Irc(ClientService):
    """It connects, and connects again, at longer and longer intervals of up to a minute."""

    def __init__(self, context: Context, endpoint: Any, identity: Identity, channels: tuple[str, ...], pace: float) -> None:
        super().__init__(endpoint, Factory.forProtocol(self._protocol), backoffPolicy(1.0, 60.0), clock=context.reactor)
        self._context, self._identity, self._channels, self._pace = context, identity, channels, pace
        self._client: Client | None = None
        self._waiting: deque[tuple[str, str]] = deque()
        self._heard = self._said = self._dropped = 0
        told(context, self._say)

    def _protocol(self) -> Client:
        from hendrix.siblings.irc_client import Client  # which installs a reactor: say() must not

        return Client(self, self._identity, self._channels, self._pace)

    def describe(self) -> str:
        if self._client is None:
            return "not connected"
        return f"{self._client.nickname}, {' '.join(sorted(self._client.joined_channels)) or 'in no channel'}"

    def numbers(self) -> dict[str, int | float]:
        return {"heard": self._heard, "said": self._said, "dropped": self._dropped}

    def _say(self, event: Event) -> None:
        for line in lines_of(event.payload["text"]):
            if len(self._waiting) + (len(self._client._queue) if self._client else 0) >= WAITING:
                self._dropped += 1
            else:
                self._waiting.append((event.payload["channel"], line))
        self.flush()

    # The client's side.

    def up(self, client: Client) -> None:
        self._client = client
        self.flush()

    def down(self, client: Client) -> None:
        if self._client is client:
            self._client = None

    def flush(self) -> None:
        """Say what waits, but in channels that we have yet to join."""
        client = self._client
        if client is None:
            return
        waiting, self._waiting = self._waiting, deque()
        for channel, line in waiting:
            if client.may_say(channel):
                self._said += 1
                client.sendLine(f"PRIVMSG {channel} :{line}")
            else:
                self._waiting.append((channel, line))

    def heard(self, who: str, channel: str, text: str, kind: str) -> None:
        self._heard += 1
        payload = {"channel": channel, "nick": who.partition("!")[0], "text": text, "kind": kind}
        self._context.publish(topic_of(self._context.name, channel), payload)

    def log(self, words: str, **values: Any) -> None:
        self._context.log.warn(words, **values)
