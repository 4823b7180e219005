"""One task: a function that waits for its response, and the handle by which its author follows it."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from functools import partial
from types import CoroutineType
from typing import Any, Protocol

from hendrix.crosstown.processes import Portable
from hendrix.errors import LocalError

# The states of a task, in the order in which it goes through them.
WAITING, RUNNING, DONE, FAILED, CANCELLED, NO_GO = "waiting", "running", "done", "failed", "cancelled", "no-go"
ENDED = frozenset((DONE, FAILED, CANCELLED, NO_GO))


class TaskCancelled(LocalError):
    """The task was cancelled before it started: it has no result."""


class NoGo(LocalError):
    """The status of the response stopped the task: it has no result."""


#: The task that runs here, None outside of any.
enclosing: contextvars.ContextVar[Task | None] = contextvars.ContextVar("hendrix_task", default=None)


class Response(Protocol):
    """What the tasks of a response wait for.

    :ivar after: the tasks, and plain callables, in the order in which they were decorated.
    :ivar code: the status that was sent, three digits, or "".
    :ivar failed: the application raised.
    :ivar last: the serial task that the next one waits for.
    :ivar gone: the client left before it could have the last byte.
    :ivar out_at: when the last byte left, as `time.monotonic` says it.
    """

    after: list[Any]
    code: str
    failed: bool
    last: Task | None
    gone: bool
    out_at: float

    @property
    def title(self) -> str:
        """Method and path, for logs."""

    @property
    def request_id(self) -> str:
        """What tells this request from all others, for logs."""


class Task:
    """A function to be called once, in the context of the code that decorated it. Any thread may ask; one thread runs it.

    :ivar name: how logs and metrics call it.
    :ivar same_thread: it runs on the thread that served the request.
    :ivar serial: it runs when the serial task before it has ended.
    :ivar portable: the function, where it asks for a worker process.
    :ivar no_go: status codes that stop it.
    :ivar on_disconnect: "run", or "skip" if a client that left half way stops it.
    :ivar timeout_warning: seconds after which a warning with its stack is logged, None for never.
    :ivar response: what it follows, until it has ended.
    :ivar cause: what else brought it about, for logs; "" if nothing did but its author.
    :ivar queued: when it could start at the soonest, as `time.monotonic` says it: when it was queued, or when its response was out.
    :ivar started: when it did.
    :ivar thread: the thread on which it has.
    :ivar inline: it runs in the middle of its author's work, on the author's thread: what that thread has open is the author's.
    """

    __slots__ = (
        "_context", "_ended", "_error", "_function", "_lock", "_nested", "_next", "_value", "cause",
        "inline", "name", "no_go", "on_disconnect",
        "portable", "queued", "response", "same_thread", "serial", "started", "state", "thread", "timeout_warning",
    )  # fmt: skip

    def __init__(
        self,
        function: Callable[[], Any],
        name: str,
        no_go: frozenset[int],
        *,
        same_thread: bool = False,
        serial: bool = False,
        portable: Portable | None = None,
        on_disconnect: str = "run",
        timeout_warning: float | None = None,
    ) -> None:
        self._function: Callable[[], Any] | None = portable or function
        self.portable = portable
        self._context: contextvars.Context | None = contextvars.copy_context()
        self._lock = threading.Lock()
        self._ended: threading.Event | None = None
        self._value: Any = None
        self._error: BaseException | None = None
        self._next: Task | None = None
        self._nested: list[Task] | None = None
        self.name, self.no_go = name, no_go
        self.same_thread, self.serial = same_thread, serial
        self.on_disconnect, self.timeout_warning = on_disconnect, timeout_warning
        self.state = WAITING
        self.queued, self.started = time.monotonic(), 0.0
        self.thread = 0
        self.inline = False
        self.response: Response | None = None
        self.cause = ""

    def __repr__(self) -> str:
        return f"<crosstown task {self.name}: {self.state}>"

    @property
    def origin(self) -> str:
        """Method and path of the request that it follows, until it has ended, or what else is its cause; for logs."""
        return self.response.title if self.response is not None else self.cause or "no response"

    @property
    def thread_lives_on(self) -> bool:
        """Whether its thread has others to run after it."""
        return self.response is not None or bool(self.cause)

    # The author's side.

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the end, for so many seconds at most; gives what the function returned or raises what it raised.

        :raises TimeoutError: it has not ended yet.
        :raises TaskCancelled, NoGo: it will never run.
        """
        if not self._end_event().wait(timeout):
            raise TimeoutError(f"{self.name} has not ended after {timeout} s")
        if self._error is not None:
            raise self._error
        return self._value

    def cancel(self) -> bool:
        """Never start it. False if it has started already, or ended."""
        return self._end(CANCELLED, TaskCancelled(f"{self.name} was cancelled"), expected=WAITING)

    @property
    def error(self) -> BaseException | None:
        """What it raised, if it failed."""
        return self._error if self.state == FAILED else None

    # The dispatcher's side.

    def begin(self) -> bool:
        """Mark it as running on this thread. False if it was cancelled meanwhile."""
        with self._lock:
            if self.state != WAITING:
                return False
            self.state = RUNNING
        self.started, self.thread = time.monotonic(), threading.get_ident()
        return True

    def within(self, call: Callable[..., Any], *args: Any) -> Any:
        """Call something else in the context in which the function is going to run. Before `call`."""
        assert self._context is not None
        return self._context.run(call, *args)

    def call(self) -> None:
        """Call the function; keeps what it returns or raises. After `begin`."""
        context, function = self._context, self._function
        assert context is not None and function is not None
        try:
            self._value = context.run(self._run, function)
        except BaseException as error:
            self._end(FAILED, error)
        else:
            self._end(DONE)

    def stop(self, code: int) -> bool:
        """The status of the response does not let it run."""
        return self._end(NO_GO, NoGo(f"{self.name} was stopped by the status {code}"), expected=WAITING)

    def fail(self, error: BaseException) -> None:
        """It could not be called. After `begin`; nothing happens if it has ended."""
        self._end(FAILED, error)

    def before(self, other: Task) -> bool:
        """Have the next serial one start when this has ended. False if it has ended already."""
        with self._lock:
            if self.state in ENDED:
                return False
            self._next = other
        return True

    def contains(self, other: Task) -> bool:
        """Have a task that was queued in this one wait for its end. False if it has ended already, or does not run."""
        with self._lock:
            if self.state != RUNNING:
                return False
            if self._nested is None:
                self._nested = []
            self._nested.append(other)
        return True

    def followers(self) -> tuple[Task | None, list[Task] | None]:
        """What waits for its end, now that it has come and no more can: the next serial task, and those that were queued in it."""
        followers = self._next, self._nested
        self._next = self._nested = None
        return followers

    def waiting(self) -> list[Task]:
        """The tasks that were queued in it and wait for its end."""
        with self._lock:
            return list(self._nested or ())

    def _run(self, function: Callable[[], Any]) -> Any:
        enclosing.set(self)
        value = function()
        if type(value) is CoroutineType:
            value.close()
            raise TypeError(f"{self.name} is a coroutine function: a task is called, not awaited")
        return value

    def _end(self, state: str, error: BaseException | None = None, *, expected: str = RUNNING) -> bool:
        with self._lock:
            if self.state != expected:
                return False
            self._error, self.state = error, state
            self._function = self._context = self.portable = None  # what it closes over is no longer needed
            if self._ended is not None:
                self._ended.set()
        return True

    def _end_event(self) -> threading.Event:
        with self._lock:
            if self._ended is None:
                self._ended = threading.Event()
                if self.state in ENDED:
                    self._ended.set()
            return self._ended


def name_of(function: Any) -> str:
    """The qualified name of a function, of what a partial calls, or of a callable's class."""
    while isinstance(function, partial):
        function = function.func
    return getattr(function, "__qualname__", None) or type(function).__qualname__
