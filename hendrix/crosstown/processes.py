"""Worker processes for tasks that compute: a function goes there as a pickle, and its result or its error comes back.

A process has one task at a time and a connection of its own, so one that dies takes its own task with it and no other; the next task gets
a new process. (A `ProcessPoolExecutor` fails all tasks in flight when one process dies, and imports the main module again, which may be a
program that serves.) Processes are new interpreters, never forks: a copy of a process with threads is not safe.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from hendrix.errors import LocalError
from hendrix.threads.spare import spare

# Seconds between two looks whether a process that does not answer is alive. The end of its connection says it sooner, as a rule.
LOOK = 1.0

# What a worker process is: it imports from where this process does.
PROGRAM = """\
import sys
sys.path[:] = {path!r}
from hendrix.crosstown.process_worker import main
main({descriptor}, {django})
"""


class NotPortable(LocalError):
    """A function or its arguments cannot be pickled, so they cannot go to another process."""


class NoProcesses(LocalError):
    """There are no worker processes: ``--crosstown-processes`` is 0."""


class ProcessDied(LocalError):
    """The worker process died of the task, or could not start."""


class Portable:
    """A function that can go to a worker process. A call of it waits there, or runs it here while it has no ``pool``."""

    __slots__ = ("payload", "pool")

    def __init__(self, function: Callable[[], Any], name: str) -> None:
        self.pool: Pool | None = None
        try:
            if _module_of(function) == "__main__":
                raise ValueError("it belongs to the program itself, __main__, which is not imported there")
            self.payload = pickle.dumps(function)
        except Exception as error:
            raise NotPortable(
                f"{name} cannot go to a worker process: {error}. With process=True, give a function that stands at the top of a module, "
                f"and its arguments with functools.partial: crosstown_traffic(process=True)(partial(function, argument))"
            ) from error

    def __call__(self) -> Any:
        return pickle.loads(self.payload)() if self.pool is None else self.pool.call(self.payload)


class Pool(Protocol):
    """Where portable tasks run; what the dispatcher needs to know of `Processes`."""

    size: int

    def submit(self, job: Any) -> None: ...
    def call(self, payload: bytes) -> Any: ...


class Processes:
    """At most ``size`` processes, each started when a task needs it.

    :ivar died: how many have died of a task.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.died = 0
        self._places = threading.Semaphore(size)
        self._lock = threading.Lock()  # guards all below
        self._free: list[Process] = []
        self._alive: set[Process] = set()
        self._quitting = False

    def submit(self, job: Any) -> None:
        """Run a job of the dispatcher on a thread that may wait for a process (any thread)."""
        spare(partial(job.run, None))

    def call(self, payload: bytes) -> Any:
        """What the pickled function returns, or raises (any thread but the reactor's; it waits).

        :raises ProcessDied: the process did.
        """
        with self._places:
            reply = self._ask(payload)
        value, error, trace = pickle.loads(reply)
        if error is None:
            return value
        error.__cause__ = RemoteTraceback(trace)
        raise error

    def _ask(self, payload: bytes) -> bytes:
        while True:
            process = self._take()
            try:
                reply = process.ask(payload)
            except (EOFError, OSError):
                end = process.end()
                blamed = process.begun or not process.answered
                with self._lock:
                    self._alive.discard(process)
                    self.died += blamed
                if blamed:
                    raise ProcessDied(f"the worker process {process.pid} {end}")
                continue  # it was killed while it had nothing to do, and has not seen this task
            self._put(process)
            return reply

    def _take(self) -> Process:
        with self._lock:
            if self._quitting:
                raise NoProcesses("the worker processes have ended already, as this one is about to")
            if self._free:
                return self._free.pop()
        process = Process()
        with self._lock:
            self._alive.add(process)
        return process

    def _put(self, process: Process) -> None:
        with self._lock:
            if not self._quitting:
                self._free.append(process)
                return
        process.connection.close()

    # The service.

    def describe(self) -> str:
        return f"{len(self._alive)} of {self.size} processes"

    def dismiss(self) -> None:
        """No task runs or waits any longer, or nobody waits for it: each free process ends by itself, the others are killed."""
        with self._lock:
            self._quitting = True
            free, self._free = self._free, []
            busy = self._alive.difference(free)
        for process in free:
            process.connection.close()
        for process in busy:
            process.kill()

    @property
    def gone(self) -> bool:
        """Whether all have ended."""
        return all(process.ended for process in list(self._alive))

    def kill(self) -> None:
        """End those that are left."""
        for process in list(self._alive):
            process.kill()
            process.wait()


class Process:
    """One worker process; used by one thread at a time.

    :ivar begun: it has taken the task on that it was last asked to do.
    :ivar answered: it has done one before.
    """

    def __init__(self) -> None:
        from multiprocessing.connection import Pipe  # not with the module, which every view imports

        self.begun = self.answered = False
        self.connection, theirs = Pipe()
        with theirs:
            command = [sys.executable, "-c", PROGRAM.format(path=sys.path, descriptor=theirs.fileno(), django=_uses_django())]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
        self.pid = self._process.pid

    def ask(self, payload: bytes) -> bytes:
        """Have it do a task. Raises `EOFError` or `OSError` when it has died."""
        self.begun = False
        self.connection.send_bytes(payload)
        self._receive()
        self.begun = True
        reply = self._receive()
        self.answered = True
        return reply

    def _receive(self) -> bytes:
        while not self.connection.poll(LOOK):
            if self.ended and not self.connection.poll(0):
                raise EOFError  # it is dead, and its own children keep the connection open
        return self.connection.recv_bytes()

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def kill(self) -> None:
        """End it, whatever it is doing (any thread)."""
        self._process.kill()

    def wait(self) -> None:
        """Wait for its end, after `kill`."""
        self._process.wait()

    def end(self) -> str:
        """Make sure that it has ended, and say how (the thread that uses it)."""
        try:
            code = self._process.wait(LOOK)  # its connection closes a moment before it ends
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self.connection.close()
        if not self.begun and not self.answered:
            return f"could not start; what it said is on standard error (exit code {code})"
        return f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


class RemoteTraceback(Exception):
    """Where in the worker process an error was raised; the cause of that error here."""

    def __str__(self) -> str:
        return f" in a worker process:\n{self.args[0]}"


def _module_of(function: Any) -> str:
    while isinstance(function, partial):
        function = function.func
    return getattr(function, "__module__", None) or type(function).__module__


def _uses_django() -> bool:
    """Whether Django is set up here, so that it has to be there as well."""
    apps = sys.modules.get("django.apps")
    return apps is not None and apps.apps.ready and "DJANGO_SETTINGS_MODULE" in os.environ
