"""The sibling tor: the site as an onion service, for as long as it runs, and again whenever tor comes back."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from hendrix.channel.private import PrivateEndpoint
from hendrix.errors import ConfigurationError
from hendrix.siblings.context import Context
from hendrix.siblings.onion_key import Key
from hendrix.siblings.tor_control import Control, NoTor, Place, library

# Seconds before tor is looked for again: at first, and at most.
PAUSE, LONGEST = 0.5, 15.0


def make_service(
    context: Context, port: int = 80, control: str = "", password_file: str = "", key_file: str = ""
) -> Service:  # fmt: skip
    """The site as an onion service of version 3, published by a tor that runs already.

    :param port: of the onion service.
    :param control: where tor listens for controllers: the path of a socket, or HOST:PORT; /run/tor/control or 127.0.0.1:9051 by itself.
    :param password_file: a file with the password of its control port, where the cookie cannot be read.
    :param key_file: where the key is kept, and with it the address; made when it is not there. Without it each start has a new address.
    """
    library()
    if not 0 < port < 65536:
        raise ConfigurationError(f"port={port}: give a port from 1 to 65535")
    door = context.private(port)
    if not door.kept:
        door.kept |= {"password": _password(password_file) if password_file else "", "key": Key(key_file)}
    return Tor(context, door, Place(context.reactor, control, door.kept["password"]), door.kept["key"])


def _password(file: str) -> str:
    try:
        with open(file, encoding="utf-8") as opened:
            text = opened.read().strip()
    except OSError as error:
        raise ConfigurationError(f"password_file={file}: {error.strerror}; give a file that this user may read") from None
    if not text:
        raise ConfigurationError(f"password_file={file}: it is empty; it must hold the password")
    return text


class Tor(Service):
    """The onion service, through all the lives of tor.

    :ivar awaited: the site starts when it has been published: its address is in the port file then.
    """

    awaited = True
    on_failure: Callable[[BaseException], None]

    def __init__(self, context: Context, door: PrivateEndpoint, place: Place, key: Key) -> None:
        self._context, self._log, self._door, self._place, self._key = context, context.log, door, place, key
        self._control: Control | None = None
        self._onion = ""
        self._attempt: Deferred[None] | None = None
        self._retry: Any = None
        self._pause = PAUSE
        self._published = self._uploads = 0

    def describe(self) -> str:
        if not self._onion:
            return f"onion:...:{self._door.onion_port}"
        state = "" if self._control is not None else ", tor is not there"
        return f"{self._onion}.onion:{self._door.onion_port} -> {self._door.target}{state}"

    def numbers(self) -> dict[str, int | float]:
        return {"published": self._published, "uploads": self._uploads}

    def privilegedStartService(self) -> None:
        self._key.read()

    def startService(self) -> Deferred[None]:
        """Fires when tor has it. Fails with `ConfigurationError` if it does not get that far."""
        super().startService()
        self._attempt = Deferred.fromCoroutine(self._publish())
        return self._attempt

    def stopService(self) -> Deferred[None]:
        """Fires when tor has it no longer."""
        super().stopService()
        if self._attempt is not None:
            self._attempt.cancel()
        if self._retry is not None and self._retry.active():
            self._retry.cancel()
        return Deferred.fromCoroutine(self._withdraw())

    async def _publish(self) -> None:
        control = await self._place.connect()
        try:
            await control.hear("HS_DESC", self._descriptor)
            await control.hear("STATUS_CLIENT", self._progress)
            self._onion, key = await control.publish(self._key.text, self._door.onion_port, self._door.target)
            if key != self._key.text:
                self._key.keep(key)
            self._progress(await control.ask("GETINFO status/bootstrap-phase"))
        except BaseException:
            await control.close()
            raise
        self._control, self._pause = control, PAUSE
        self._published += 1
        self._door.address = f"onion:{self._onion}.onion:{self._door.onion_port}"
        self._log.info("tor has the site: {line}", line=self.describe())
        control.lost.addCallback(self._gone)

    async def _withdraw(self) -> None:
        control, self._control = self._control, None
        if control is not None:
            try:
                await control.ask(f"DEL_ONION {self._onion}")
            except Exception as error:  # tor is ending too; what was made over the connection goes with it
                self._log.warn("tor did not take the onion service away: {error}", error=error)
            await control.close()

    # The lives of tor.

    def _gone(self, _: object) -> None:
        if self._control is not None:
            self._control = None
            self._log.warn("tor has gone, and {onion}.onion with it, until it is back", onion=self._onion)
            self._look_again()

    def _look_again(self) -> None:
        self._retry = self._context.reactor.callLater(self._pause, self._try)
        self._pause = min(self._pause * 2, LONGEST)

    def _try(self) -> None:
        self._attempt = Deferred.fromCoroutine(self._publish())
        self._attempt.addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        """Nobody there is no news. A tor that does not want us is our death: the supervisor decides."""
        error = failure.value
        if not self.running or isinstance(error, CancelledError):
            return
        if isinstance(error, NoTor):
            self._look_again()
        elif error is not None:
            self.on_failure(error)

    # What tor tells.

    def _descriptor(self, text: str) -> None:
        """HS_DESC: how far the network knows of it."""
        action, onion, _, directory, *more = [*text.split(), "", "", ""]
        if onion != self._onion or not onion:
            return
        if action == "UPLOADED":
            self._uploads += 1
            self._log.info("http://{onion}.onion is known to the directory {directory}", onion=onion, directory=directory)
        elif action == "FAILED":
            why = next((word for word in more if word.startswith("REASON=")), "no reason given")
            self._log.warn("the directory {directory} does not take {onion}.onion: {why}", directory=directory, onion=onion, why=why)

    def _progress(self, text: str) -> None:
        """STATUS_CLIENT and GETINFO: how far tor itself has come."""
        found = re.search(r'BOOTSTRAP PROGRESS=(\d+).*SUMMARY="([^"]*)"', text)
        if found is not None and found[1] != "100":
            self._log.info("tor is on its way into the network: {percent} %, {summary}", percent=found[1], summary=found[2])
