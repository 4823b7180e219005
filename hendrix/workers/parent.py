"""The node "workers": N processes that serve, each watched over and replaced when it dies.

The parent binds and never serves. It starts processes with the listening sockets inherited, so that a client never finds a closed port:
what one worker does not accept, another does.

A reload starts the first of the new workers, and the others when that one serves. So code that cannot be imported costs nothing but a
message. Each old worker drains as soon as the new one in its place is ready.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from typing import Any

from twisted.application.service import IService
from twisted.internet.defer import Deferred, DeferredList, DeferredLock, maybeDeferred
from twisted.internet.process import reapAllProcesses
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from hendrix.channel.sockets import Sockets
from hendrix.control.commands import Commands
from hendrix.errors import ChildError, ConfigurationError, PeerError
from hendrix.options import Settings
from hendrix.root import check_root
from hendrix.supervision import Intensity, Supervisor
from hendrix.workers.baggage import interpreter, packed
from hendrix.workers.forward import Forwarder
from hendrix.workers.inherited import legacy
from hendrix.workers.process import BEAT, Process
from hendrix.workers.signals import Signals
from hendrix.workers.slot import Slot

log = Logger(namespace="hendrix.workers")

# Deaths for each worker in so many seconds, above which the node gives up.
DEATHS, WINDOW = 5, 10.0
# The most workers that can be asked for while it runs.
MOST = 512
# Seconds that a worker has to end, over the time that its requests and tasks have.
PATIENCE = 10.0


def workers_of(reactor: Any, settings: Settings, sockets: Sockets) -> Workers:
    """The node for these settings.

    :raises ConfigurationError: they cannot be given to another process.
    """
    values, commands, forwarder, births = packed(settings), Commands(), Forwarder(reactor), itertools.count()

    def spawn(name: str) -> Process:
        listeners = sockets.listeners
        baggage = {
            "name": name,
            "birth": next(births),
            "settings": values,
            "interpreter": interpreter(reactor),
            "listeners": [legacy(listener) for listener in listeners],
        }
        inherited: list[Any] = [listener.port if listener.portable else forwarder.inner(listener) for listener in listeners]
        descriptors = [each.fileno() for each in inherited]
        return Process(reactor, name, baggage, descriptors, commands, settings.worker_timeout)

    to_drain = settings.grace + settings.crosstown_grace
    return Workers(reactor, settings.workers, sockets, spawn, to_drain=to_drain, port_file=settings.port_file, when_gone=forwarder.close)


class Workers(Supervisor):
    """:param count: how many workers to start with.
    :param sockets: what they serve on; closed here when all have accepted their last connection.
    :param spawn: starts a process of this name.
    :param to_drain: seconds that requests and tasks have to end.
    :param port_file: written when all serve.
    :param when_gone: called when all have ended.
    :ivar around_reload: makes of the function that reloads one that does something more before and after.
    :ivar on_spawn: called with each new process before it runs: its link's channels are for the taking.
    :ivar processes: all there are, also those that drain.
    """

    def __init__(
        self,
        reactor: Any,
        count: int,
        sockets: Sockets,
        spawn: Callable[[str], Process],
        *,
        to_drain: float,
        port_file: str | None = None,
        when_gone: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__("workers", clock=reactor, intensity=Intensity(DEATHS * count, WINDOW))
        self._reactor, self._sockets, self._spawn_process, self._to_drain = reactor, sockets, spawn, to_drain
        self._port_file, self._when_gone = port_file, when_gone
        self.app_name = ""
        self.around_reload: Callable[[Callable[[], Any]], Callable[[], Any]] = lambda reload: reload
        self.processes: set[Process] = set()
        self.on_spawn: list[Callable[[Process], object]] = []
        self._deadlines: dict[Process, Any] = {}
        self._turn: DeferredLock = DeferredLock()
        self._queued: Deferred[int] | None = None
        self._looked = 0.0
        self._restarts = self._spawned = self._lost = 0
        self._signals = Signals(
            reactor,
            {
                "SIGHUP": lambda: self.reload().addErrback(_said),
                "SIGUSR1": self.reopen_logs,
                "SIGTTIN": lambda: self.set_count(len(self.slots) + 1).addErrback(_said),
                "SIGTTOU": lambda: self.set_count(max(1, len(self.slots) - 1)).addErrback(_said),
            },
        )
        self._watch = LoopingCall(self._look)
        self._watch.clock = reactor
        for _ in range(count):
            self._add()

    def describe(self) -> str:
        leaving = sum(process.told_to_go for process in self.processes)
        more = f", {leaving} draining" if leaving else ""
        return f"{self.strategy}, at most {self.intensity.most} deaths in {self.intensity.seconds:g} s{more}"

    def numbers(self) -> dict[str, int]:
        leaving = sum(process.told_to_go for process in self.processes)
        serving = sum(slot.current is not None for slot in self.slots)
        return {"workers": len(self.slots), "serving": serving, "draining": leaving, "started": self._spawned, "died": self._lost}

    @property
    def slots(self) -> list[Slot]:
        return [child for child in list(self) if isinstance(child, Slot)]

    def _add(self) -> Slot:
        taken = {slot.name for slot in self.slots}
        name = next(name for number in range(1, MOST + 2) if (name := f"worker {number}") not in taken)
        slot = Slot(name, self._spawn, self._retire, self._reactor)
        running, self.running = self.running, 0  # or it would be started here, and nobody would hear how that went
        self.addService(slot)
        self.running = running
        self.intensity = Intensity(DEATHS * max(1, len(self.slots)), WINDOW)
        return slot

    # Processes.

    def _spawn(self, name: str) -> Process:
        process = self._spawn_process(name)
        self.processes.add(process)
        self._spawned += 1
        process.ended.addCallback(self._ended, process)
        process.ready.addCallback(self._serves)
        for tell in self.on_spawn:
            tell(process)
        return process

    def _serves(self, name: str) -> str:
        self.app_name = name
        return name

    def _ended(self, how: str, process: Process) -> str:
        self.processes.discard(process)
        self._lost += not process.told_to_go
        deadline = self._deadlines.pop(process, None)
        if deadline is not None and deadline.active():
            deadline.cancel()
        log.info("{name} pid {pid} {how}", name=process.name, pid=process.pid, how=how)
        return how

    def _retire(self, process: Process) -> None:
        process.drain()
        self._limit(process)

    def _limit(self, process: Process) -> None:
        """It has been told to end: see that it does."""
        if process in self.processes and process not in self._deadlines:
            self._deadlines[process] = self._reactor.callLater(self._to_drain + PATIENCE, self._overdue, process)

    def _overdue(self, process: Process) -> None:
        log.error("{name} pid {pid} does not end: it is killed", name=process.name, pid=process.pid)
        process.dump_and_kill()

    def _look(self) -> None:
        """At the workers' signs of life. Time in which this process stood still itself is not held against them."""
        reapAllProcesses()  # see TO_EXIT
        now = self._reactor.seconds()
        seconds, self._looked = min(now - self._looked, 2 * BEAT), now
        for process in list(self.processes):
            process.look(seconds)

    # Start.

    def startService(self) -> Deferred[None] | None:
        """Fires when all workers serve; fails with `ChildError` when one cannot.

        A launcher that has not yet run the reactor waits here, since it wants to know whether the start succeeded.
        """
        check_root(spawns=True)
        self._looked = self._reactor.seconds()
        self._signals.install()
        self._watch.start(BEAT, now=False)
        starting = super().startService()
        if starting is None or getattr(self._reactor, "running", False):
            return starting
        outcome: list[object] = []
        starting.addBoth(outcome.append)
        while not outcome:
            self._reactor.iterate(0.05)
            reapAllProcesses()
        starting.addCallback(lambda _: outcome[0])
        return starting

    async def _start_each(self, children: list[IService]) -> BaseException | None:
        """All at once."""
        error = await self._all(maybeDeferred(child.startService) for child in children)
        if error is None:
            try:
                self._all_serve()
            except ConfigurationError as unwritable:
                return unwritable
        return error

    def _all_serve(self) -> None:
        if self._port_file is not None:
            self._sockets.write_port_file(self._port_file)
        for listener in self._sockets.listeners:
            log.info("serving {name} on {url}", name=self.app_name, url=listener.url)
        pid = os.getpid()
        log.info("{count} workers; new code with kill -HUP {pid}, stop with Ctrl-C or kill {pid}", count=len(self.slots), pid=pid)

    async def _all(self, starting: Iterable[Deferred[Any]]) -> BaseException | None:
        """The first error, when all have an outcome."""
        results = await DeferredList(list(starting), consumeErrors=True)
        return next((result.value for succeeded, result in results if not succeeded), None)

    # Deaths.

    def time(self) -> float:
        """Without that in which no worker serves: how long one takes to start says nothing about how often it dies."""
        return super().time() - min((slot.down for slot in self.slots), default=0.0)

    def tolerates(self, error: BaseException) -> bool:
        """A worker that cannot start while others serve is no reason to give up: it is tried again and again."""
        return isinstance(error, ChildError) and any(slot.current for slot in self.slots)

    # Reload, and another number of workers.

    def reload(self) -> Deferred[int]:
        """New workers in the place of all. Fires with their number; fails with `PeerError` when one cannot start, and the old ones go on.

        Who asks while a reload is on its way gets the next one.
        """
        if not self._turn.locked:
            return Deferred.fromCoroutine(self._reload_in_turn())
        if self._queued is None:
            self._queued = Deferred.fromCoroutine(self._reload_in_turn())
        return _copy(self._queued)

    async def _reload_in_turn(self) -> int:
        await self._turn.acquire()
        self._queued = None
        try:
            count: int = await self.around_reload(self._reload)()
            return count
        finally:
            self._turn.release()

    async def _reload(self) -> int:
        self._sockets.renew_certificates()
        slots = self.slots
        for some in (slots[:1], slots[1:]):
            error = await self._all(slot.renew("reload") for slot in some)
            if error is not None:
                log.error("the reload failed, and the old workers go on:\n{words}", words=error)
                raise PeerError(500, f"the old workers go on: {str(error).splitlines()[-1]}")
        log.info("reloaded: {count} workers", count=len(slots))
        return len(slots)

    def restart(self) -> Deferred[None]:
        """New code at once, for development: the old workers accept no more, and who comes meanwhile waits for the new ones.

        One that is still starting, with code that is old by now, is killed. Fires when the new ones serve, or cannot, which is logged.
        """
        return Deferred.fromCoroutine(self._begin_anew())

    async def _begin_anew(self) -> None:
        if not self.running:
            return
        self._restarts += 1
        this, slots = self._restarts, self.slots
        if not self.app_name:  # the launcher waits for the first ones
            error = await self._all(slot.renew("new code") for slot in slots)
        else:
            for process in self.processes:
                if not process.serving and not process.told_to_go:
                    process.kill()
            for process in filter(None, [slot.give() for slot in slots]):
                process.stop(heirs=True)
                self._limit(process)
            error = await self._all(slot.startService() for slot in slots)
        if error is not None and this == self._restarts and self.running:
            log.error("no worker serves, and clients wait for the next save:\n{words}", words=error)

    def set_count(self, count: int) -> Deferred[int]:
        """So many workers from now on. Fires with the number when all serve; fails with `PeerError`."""
        return Deferred.fromCoroutine(self._set_count(count))

    async def _set_count(self, count: int) -> int:
        if not 1 <= count <= MOST:
            raise PeerError(400, f"workers={count}: give a whole number from 1 to {MOST}")
        for slot in self.slots[count:]:
            self.removeService(slot)
            process = slot.give()
            if process is not None:
                self._retire(process)
        new = [self._add() for _ in range(count - len(self.slots))]
        log.info("{count} workers", count=count)
        results: list[tuple[bool, Any]] = await DeferredList([slot.startService() for slot in new], consumeErrors=True)
        for slot, (succeeded, result) in zip(new, results):
            if not succeeded:
                self._died(slot, result.value)
                raise PeerError(500, str(result.value).splitlines()[-1])
        return count

    def reopen_logs(self) -> None:
        """Each worker's own."""
        for process in self.processes:
            process.reopen_logs()

    # Stop.

    def hurry(self) -> None:
        """Have all that drain cut what they wait for."""
        for process in self.processes:
            process.hurry()

    async def _stop_each(self) -> None:
        for slot in self.slots:
            slot.stopService()
        for process in self.processes:
            process.stop()
            self._limit(process)
        await DeferredList([_copy(process.deaf) for process in self.processes])
        await self._sockets.close()
        await DeferredList([_copy(process.ended) for process in self.processes])
        self._rest()

    def _undone(self, error: BaseException) -> BaseException:
        self._rest()
        return super()._undone(error)

    def _rest(self) -> None:
        if self._watch.running:
            self._watch.stop()
        self._signals.remove()
        self._when_gone()


def _said(failure: Failure) -> None:
    """In the log."""
    failure.trap(PeerError)


def _copy(deferred: Deferred[Any]) -> Deferred[Any]:
    """One that fires with it."""
    copy: Deferred[Any] = Deferred()

    def fire(result: Any) -> Any:
        copy.callback(result)  # an error too: a Failure makes it fail
        return None if isinstance(result, Failure) else result

    deferred.addBoth(fire)
    return copy
