"""A connection of the sibling irc. Importing it installs a reactor, for twisted.words does: it is imported when there is one."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from twisted.python.failure import Failure
from twisted.words.protocols.irc import IRCClient

if TYPE_CHECKING:
    from hendrix.siblings.irc import Identity, Irc


class Client(IRCClient):
    """One connection."""

    transport: Any
    realname: Any
    username: Any
    lineRate: Any

    def __init__(self, irc: Irc, identity: Identity, channels: tuple[str, ...], pace: float) -> None:
        self._irc, self._identity, self._channels = irc, identity, channels
        self.nickname = self.realname = self.username = identity.nick
        self.lineRate = pace or None
        self.joined_channels: set[str] = set()

    def may_say(self, channel: str) -> bool:
        wanted = {one.lower() for one in self._channels}
        return channel.lower() not in wanted or channel.lower() in self.joined_channels

    # IRCClient.

    def register(self, nickname: str, hostname: str = "hendrix", servername: str = "hendrix") -> None:
        if self._identity.account and self._identity.login == "sasl":
            self.sendLine("CAP REQ :sasl")
        super().register(nickname, hostname, servername)

    def lineReceived(self, line: bytes) -> None:
        """UTF-8, and Latin-1 for what is not."""
        try:
            text = line.decode()
        except UnicodeDecodeError:
            text = line.decode("latin-1")
        super().lineReceived(text)

    def signedOn(self) -> None:
        if self._identity.account and self._identity.login == "nickserv":
            self.sendLine(f"PRIVMSG NickServ :IDENTIFY {self._identity.account} {self._identity.password}")
        for channel in self._channels:
            self.join(channel)
        self._irc.up(self)

    def joined(self, channel: str) -> None:
        self.joined_channels.add(channel.lower())
        self._irc.flush()

    def left(self, channel: str) -> None:
        self.joined_channels.discard(channel.lower())

    def kickedFrom(self, channel: str, kicker: str, message: str) -> None:
        self.left(channel)
        self._irc.log("kicked from {channel} by {kicker}: {why}", channel=channel, kicker=kicker, why=message)

    def privmsg(self, user: str, channel: str, message: str) -> None:
        self._irc.heard(user, channel, message, "message")

    def noticed(self, user: str, channel: str, message: str) -> None:
        if "!" in user:  # those of the server itself are many
            self._irc.heard(user, channel, message, "notice")

    def action(self, user: str, channel: str, data: str) -> None:
        self._irc.heard(user, channel, data, "action")

    def connectionLost(self, reason: Failure | None = None) -> None:
        super().connectionLost(reason)
        self._irc.down(self)

    # SASL PLAIN (RFC 4616), as IRCv3 has it.

    def irc_CAP(self, prefix: str, params: list[str]) -> None:
        if params[1:2] == ["ACK"]:
            self.sendLine("AUTHENTICATE PLAIN")
        elif params[1:2] == ["NAK"]:
            self._refused("the network has no SASL: try login=nickserv")

    def irc_AUTHENTICATE(self, prefix: str, params: list[str]) -> None:
        account, password = self._identity.account, self._identity.password
        self.sendLine("AUTHENTICATE " + b64encode(f"{account}\0{account}\0{password}".encode()).decode())

    def irc_903(self, prefix: str, params: list[str]) -> None:
        self.sendLine("CAP END")

    def irc_904(self, prefix: str, params: list[str]) -> None:
        self._refused("the account or its password is wrong")

    def _refused(self, why: str) -> None:
        self._irc.log("cannot log in: {why}", why=why)
        self.transport.loseConnection()
