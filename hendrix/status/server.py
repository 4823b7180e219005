"""The node "status": the live page and what else is asked at ``--status``, in the process at the top of the tree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.web.http import Request

from hendrix.errors import ConfigurationError
from hendrix.status.visitors import Visitors, is_private
from hendrix.status.web import Answer, Give, Pages, Run, as_json, site_of

log = Logger(namespace="hendrix.status")


class Ports(Protocol):
    """Binds the endpoint: `Sockets`."""

    @property
    def listeners(self) -> list[Any]: ...
    def check(self) -> None: ...
    def privilegedStartService(self) -> None: ...
    def startService(self) -> Deferred[None]: ...
    def stopService(self) -> Deferred[None]: ...


class Streams(Protocol):
    """Sends events to those who look."""

    def open(self, request: Request, may_act: bool) -> None: ...
    def close(self) -> None: ...
    def describe(self) -> str: ...


class StatusService(Service):
    """Listens, and answers. Among the children of the root it is one of the first: so it shows the start and the drain.

    :param endpoint: as the user gave it, for an error.
    :param token: None for a page that can only be read, by this machine alone.
    :param run: runs a command.
    :param view: makes the picture.
    :param tree: gives the tree as data.
    :param ready: whether all nodes run.
    """

    name = "status"

    def __init__(
        self,
        reactor: Any,
        endpoint: str,
        token: str | None,
        ports: Ports,
        run: Run,
        streams: Streams,
        view: Service,
        tree: Callable[[], Any],
        ready: Callable[[], bool],
    ) -> None:
        self._reactor, self._endpoint, self._token, self._ports, self._streams = reactor, endpoint, token, ports, streams
        self._run, self._view = run, view
        self._given: dict[str, Give] = {"/tree.json": lambda: as_json(tree())}
        self._ready = ready
        self._site: Any = None

    def add(self, path: str, give: Give) -> None:
        """Have ``path`` answered, for those who may look, by what ``give()`` returns: an `Answer` or a Deferred of it. Before the start."""
        self._given[path] = give

    def describe(self) -> str:
        urls = ", ".join(listener.url for listener in self._ports.listeners) or self._endpoint
        return f"{urls}, {'buttons with the token' if self._token else 'read-only'}, {self._streams.describe()}"

    def check(self) -> None:
        """Make the endpoint and bind nothing. Raises `ConfigurationError` if it cannot be made."""
        self._ports.check()

    def privilegedStartService(self) -> None:
        self._ports.privilegedStartService()

    async def _listen(self) -> None:
        await self._ports.startService()
        private = all(is_private(listener.port.getHost()) for listener in self._ports.listeners)
        if not private and self._token is None:
            raise ConfigurationError(
                f"--status={self._endpoint}: other machines reach this; give HENDRIX_STATUS_TOKEN, as openssl rand -hex 32 makes one, "
                "or an endpoint of this machine alone, such as 9000 or unix:/run/status.sock"
            )
        pages = Pages(Visitors(self._token, private), self._run, self._streams.open)
        pages.given |= self._given
        pages.open_to_all["/health"] = self._health
        self._site = site_of(self._reactor, pages)
        self._site.startFactory()
        for listener in self._ports.listeners:
            listener.reception.build = self._site.buildProtocol
            if hasattr(listener.port, "startReading"):
                listener.port.startReading()
            log.info("the live page is on {url}", url=listener.url)

    def _health(self) -> Answer:
        ready = self._ready()
        return Answer("text/plain", b"ready\n" if ready else b"starting or stopping\n", 200 if ready else 503)

    def startService(self) -> Deferred[None]:
        """Fires when it listens."""
        super().startService()
        self._view.startService()
        return Deferred.fromCoroutine(self._listen())

    def stopService(self) -> Deferred[None]:
        """Fires when it no longer listens."""
        super().stopService()
        if self._view.running:
            self._view.stopService()
        self._streams.close()
        site, self._site = self._site, None
        if site is not None:
            site.stopFactory()
        return maybeDeferred(self._ports.stopService)
