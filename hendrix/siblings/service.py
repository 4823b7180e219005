"""The node "siblings", and the node of each: made anew for each life, so that it comes back without what killed it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Literal

from twisted.application.service import IService, IServiceCollection, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.python.failure import Failure

from hendrix.channel.private import PrivateEndpoint
from hendrix.errors import ConfigurationError, LocalError
from hendrix.options import Settings
from hendrix.siblings.context import Context
from hendrix.siblings.registry import find
from hendrix.siblings.spec import Spec, read
from hendrix.supervision import Supervisor, hurry
from hendrix.tree import Branch, data
from hendrix.wsgi.loading import see

log = Logger(namespace="hendrix.siblings")

Make = Callable[[Context], Any]
ContextOf = Callable[[str], Context]


class Siblings(Supervisor):
    """All of them. One that dies is started again, for as long as the site lives: its deaths are nobody else's."""

    def __init__(self, reactor: Any, siblings: Iterable[Sibling]) -> None:
        super().__init__("siblings", clock=reactor)
        for sibling in siblings:
            self.addService(sibling)

    def tolerates(self, error: BaseException) -> bool:
        return True


def siblings_of(settings: Settings, context: ContextOf, reactor: Any) -> Siblings:
    """The node for those of the settings. Their functions are imported and called: raises `ConfigurationError` for what cannot work."""
    see(settings.pythonpath)
    specs = [Spec.parse(text) for text in settings.sibling]
    return Siblings(reactor, [Sibling(label, spec, context, settings.grace) for label, spec in zip(_labels(specs), specs)])


def onions_in(reactor: Any, listen: Iterable[Any]) -> tuple[list[Any], list[tuple[str, Spec]]]:
    """What `Sockets` is to bind, with a port for each ``onion:``; and those, with their names in the tree.

    They are nodes of the root: one that dies too often ends the site, as a port that cannot be had does.
    """
    found = {number: Spec.of_onion(one) for number, one in enumerate(listen) if isinstance(one, str) and one.partition(":")[0] == "onion"}
    labels = dict(zip(found, _labels(found.values())))
    bound = [PrivateEndpoint(reactor, labels[number], one) if number in found else one for number, one in enumerate(listen)]
    return bound, [(labels[number], spec) for number, spec in found.items()]


def _labels(specs: Iterable[Spec]) -> Iterable[str]:
    """Their names in the tree: echo, echo-2."""
    seen: Counter[str] = Counter()
    for spec in specs:
        short = spec.label.removesuffix(".make_service").rpartition(".")[2] if spec.label == spec.kind else spec.label
        seen[short] += 1
        yield short if seen[short] == 1 else f"{short}-{seen[short]}"


class Sibling(Service):
    """One of them: what its function made is hosted here, shown in the tree and watched.

    It has died when it says so (`supervision.Mortal`), when its start fails after it has begun, or when a restart of it fails. The first
    start is the site's: what fails there at once keeps the site from starting.

    :param grace: seconds that its stop may take.
    """

    on_failure: Callable[[BaseException], None] | None = None

    def __init__(self, label: str, spec: Spec, context: ContextOf, grace: float) -> None:
        self.setName(label)
        self._spec, self._context_of, self._grace = spec, context, grace
        self._function = find(spec.kind, spec.blame)
        self._values = read(spec, self._function)
        self._restarts = -1
        self._state: Literal["new", "prepared", "running", "dying", "over"] = "new"
        self._context, self._service = self._made()

    def describe(self) -> str:
        if self._state in ("dying", "over"):
            return "down"
        describe = getattr(self._service, "describe", None)
        line = describe() if callable(describe) else self._spec.kind
        return f"{line}, {self._restarts} restart{'s' * (self._restarts != 1)}" if self._restarts > 0 else line

    def numbers(self) -> dict[str, int | float]:
        numbers = getattr(self._service, "numbers", None)
        return {"restarts": max(self._restarts, 0), **(numbers() if callable(numbers) else {})}

    def branches(self) -> list[Branch]:
        return [data(child) for child in self._service] if IServiceCollection.providedBy(self._service) else []

    def hurry(self) -> None:
        hurry(self._service)

    def privilegedStartService(self) -> None:
        if self._state in ("dying", "over"):
            self._context, self._service = self._made()
        self._state = "prepared"
        self._blamed(self._service.privilegedStartService)

    def startService(self) -> Deferred[Any] | None:
        super().startService()
        self._restarts += 1
        service = self._service
        self._context.open()
        self._state = "running"
        try:
            started = self._blamed(service.startService)
        except BaseException:
            self._state = "over"
            self._end(service, self._context)
            raise
        if isinstance(started, Deferred):
            if getattr(service, "awaited", False):
                return started.addErrback(lambda failure: self._not_up(service, failure))
            started.addErrback(lambda failure: self._died(service, failure))  # the site does not wait for it
        return None

    def stopService(self) -> Deferred[Any]:
        super().stopService()
        if self._state not in ("prepared", "running"):
            self._state = "over"
            return maybeDeferred(lambda: None)
        self._state = "over"
        return self._end(self._service, self._context)

    def _not_up(self, service: Any, failure: Failure) -> Any:
        """A start that others wait for has failed, or was cancelled by its end."""
        if service is not self._service or self._state != "running":
            return failure
        self._state = "over"

        def fail() -> Any:
            failure.raiseException()

        return self._end(service, self._context).addCallback(lambda _: self._blamed(fail))

    def _made(self) -> tuple[Context, Any]:
        context = self._context_of(str(self.name))
        try:
            service: Any = IService(self._function(context, **self._values))
        except ConfigurationError as error:
            raise ConfigurationError(f"{self._spec.blame}: {error}") from error.__cause__
        except TypeError as error:
            if "adapt" not in str(error):
                raise
            raise ConfigurationError(f"{self._spec.blame}: its function gives no Twisted service") from None
        service.on_failure = lambda error: self._died(service, error)
        return context, service

    def _blamed(self, start: Callable[[], Any]) -> Any:
        try:
            return start()
        except (OSError, CannotListenError) as error:
            words = getattr(error, "socketError", None) or error
            raise ConfigurationError(f"{self._spec.blame}: {getattr(words, 'strerror', None) or words}") from None
        except ConfigurationError as error:
            raise ConfigurationError(f"{self._spec.blame}: {error}") from error.__cause__

    def _died(self, service: Any, reason: BaseException | Failure) -> None:
        """It is stopped all the same, for what of it may still run, and then its supervisor hears of it."""
        if service is not self._service or self._state != "running":
            return
        self._state = "dying"
        error = reason.value if isinstance(reason, Failure) else reason
        self._end(service, self._context).addCallback(self._report, error)

    def _report(self, _: object, error: BaseException | None) -> None:
        if self._state == "dying" and self.on_failure is not None:
            self.on_failure(LocalError(f"{type(error).__name__}: {error}"))  # whatever it was: one that has given up too

    def _end(self, service: Any, context: Context) -> Deferred[Any]:
        def failed(failure: Failure) -> None:
            log.failure("stopping {name} failed, or took more than {grace} s", failure, name=self.name, grace=self._grace)

        stopped = maybeDeferred(service.stopService).addTimeout(max(self._grace, 0.1), context.reactor).addErrback(failed)
        return stopped.addBoth(lambda _: context.close())
