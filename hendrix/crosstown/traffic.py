"""``@crosstown_traffic``: the decorator, and where it finds the response that its task follows.

The response is found by a context variable, so that work in a thread or executor that copied the context belongs to the right response,
and nothing leaks into the next request of a thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from functools import partial
from typing import Any, Protocol, overload

from hendrix.crosstown.dispatcher import Dispatcher
from hendrix.crosstown.gate import DEFAULT, Code, parse
from hendrix.crosstown.processes import Portable
from hendrix.crosstown.task import Response, Task, name_of
from hendrix.errors import LocalError

Function = Callable[..., Any]

# Status codes that stop a task which says nothing else.
NO_GO = parse(DEFAULT)


class NoResponse(LocalError):
    """There is no response here that the task could follow, and ``fail_without_response`` was asked for."""


class NoTransactions(LocalError):
    """``after_commit`` was asked for, and nobody here knows of transactions."""


class Following(Response, Protocol):
    """A response that tasks can be queued behind."""

    def admit(self, task: Task) -> None:
        """See that there is the worker process that the task asks for.

        :raises NoProcesses: there is none.
        """

    def follow_with(self, task: Task) -> None:
        """The task is to run after it."""


#: The response that is being made here, None outside of any.
current: ContextVar[Following | None] = ContextVar("hendrix_response", default=None)

#: Have a task start, by a call, when the transaction that is open on this thread commits, on the database of this alias (None: the
#: default); the task never starts if it rolls back. `hendrix.django` sets it.
start_on_commit: Callable[[Task, Callable[[], None], str | None], None] | None = None

#: Each is given the function of a task where that is decorated, and gives the one to be called in its place, in the task's context: for
#: what a context variable does not carry to another thread. `hendrix.django` adds to it.
carrying: list[Callable[[Function], Function]] = []

#: The dispatcher of the server that this process is, None in any other.
serving: Dispatcher | None = None

#: Called when the server has drained its tasks, on the reactor thread: for what would be lost in silence.
ending: list[Callable[[], None]] = []


class CrosstownTraffic:
    """Run a function when the response has gone out over the wire.

    ::

        @crosstown_traffic()
        def call_phones(): ...

    With or without parentheses, on functions, methods, partials and lambdas; the name then stands for the task's handle, a `Task`.

    :param same_thread: on the thread that served the request, after the response; one such task after another.
    :param serial: on the crew, but not before the serial task before it has ended.
    :param process: in a worker process, of which ``--crosstown-processes`` says how many there are. The function stands at the top of a
        module, and it and its arguments can be pickled. Where there is no response, it runs in this process.
    :param no_go_status_codes: codes that stop it, as ``[404, "5xx", "400-405"]``; default 4xx and 5xx; ``[]`` for none.
    :param fail_without_response: where there is no response, raise `NoResponse`. Otherwise the function runs at once:
    :param block_without_response: True: here, before the decorator returns. False: on a thread of its own.
    :param on_disconnect: "run" or "skip": what to do if the client left before it had the last byte.
    :param after_commit: wait for the commit of the transaction that is open here, and never run if it rolls back; True or the alias of a
        database. Needs ``hendrix.django`` among the INSTALLED_APPS.
    :param name: how logs and metrics call it; default is the function's qualified name.
    :param timeout_warning: seconds after which a running task is logged with its stack.
    :raises NotPortable, NoProcesses: at decoration, for a function that cannot go to another process; where there is none.
    :raises ValueError: at decoration, for codes that are none.
    :raises NoTransactions: at decoration, for ``after_commit`` without ``hendrix.django``.

    :ivar on_error: called with the task and what it raised, on its thread.
    """

    on_error: Callable[[Task, BaseException], None] | None = None

    @overload
    def __call__(self, function: Function) -> Task: ...
    @overload
    def __call__(self, function: None = None, **options: Any) -> Callable[[Function], Task]: ...
    def __call__(self, function: Function | None = None, **options: Any) -> Task | Callable[[Function], Task]:
        if options:
            _check(**options)
            return partial(self._queue, **options) if function is None else self._queue(function, **options)
        return self._queue if function is None else self._queue(function)

    def run(self, function: Function, /, *args: Any, **kwargs: Any) -> Task:
        """The same as a call: ``crosstown_traffic.run(send_mail, "subject", to=user)``."""
        return self._queue(partial(function, *args, **kwargs), name=name_of(function))

    def _queue(
        self,
        function: Function,
        *,
        same_thread: bool = False,
        serial: bool = False,
        process: bool = False,
        no_go_status_codes: Iterable[Code] | Code | None = None,
        fail_without_response: bool = False,
        block_without_response: bool = True,
        on_disconnect: str = "run",
        after_commit: bool | str = False,
        name: str | None = None,
        timeout_warning: float | None = None,
    ) -> Task:
        if not callable(function):
            raise TypeError(f"crosstown_traffic decorates what can be called, not {function!r}")
        name = name or getattr(function, "__qualname__", None) or name_of(function)
        portable = Portable(function, name) if process else None
        for carry in carrying:
            function = carry(function)
        task = Task(
            function,
            name,
            NO_GO if no_go_status_codes is None else parse(no_go_status_codes),
            same_thread=same_thread,
            serial=serial,
            portable=portable,
            on_disconnect=on_disconnect,
            timeout_warning=timeout_warning,
        )
        response = current.get()
        if response is None and fail_without_response:
            raise NoResponse(f"{task.name}: there is no response here that it could follow")
        if portable is not None and response is not None:
            response.admit(task)
        if response is not None and not after_commit:
            response.follow_with(task)
        elif not after_commit:
            _start(task, response, block_without_response)
        elif start_on_commit is None:
            raise NoTransactions(f'{task.name}: after_commit needs "hendrix.django" among the INSTALLED_APPS')
        else:
            alias = after_commit if isinstance(after_commit, str) else None
            start_on_commit(task, partial(_start, task, response, block_without_response), alias)
        return task


def _start(task: Task, response: Following | None, block_without_response: bool) -> None:
    if response is not None:
        response.follow_with(task)
    elif block_without_response:
        task.inline = True
        alone.run(task)
    else:
        threading.Thread(target=alone.run, args=(task,), name=task.name).start()


def _check(
    no_go_status_codes: Iterable[Code] | Code | None = None,
    on_disconnect: str = "run",
    same_thread: bool = False,
    process: bool = False,
    serial: bool = False,
    fail_without_response: bool = False,
    block_without_response: bool = True,
    after_commit: bool | str = False,
    name: str | None = None,
    timeout_warning: float | None = None,
) -> None:
    """Nonsense in the parentheses is found at decoration, not when the response is out."""
    parse(DEFAULT if no_go_status_codes is None else no_go_status_codes)
    if on_disconnect not in ("run", "skip"):
        raise ValueError(f'on_disconnect is "run" or "skip", not {on_disconnect!r}')
    if same_thread and serial:
        raise ValueError("same_thread tasks run one after another already: leave out serial")
    if same_thread and process:
        raise ValueError("a task runs on the same thread or in another process: leave out same_thread or process")
    if timeout_warning is not None and not (isinstance(timeout_warning, (int, float)) and timeout_warning > 0):
        raise ValueError(f"timeout_warning is a number of seconds above 0, not {timeout_warning!r}")


def request_id() -> str | None:
    """What tells the request that is being answered here from all others, in its tasks as well; None outside of any.

    It is the ``X-Request-ID`` that a proxy on the ``--trusted-proxy`` list has set, else one of our own, made when it is first asked for.
    """
    response = current.get()
    return None if response is None else response.request_id


class _NoCrew:
    size = 0

    def submit(self, job: Any) -> None:
        raise AssertionError("tasks without a response run where they are")


#: Runs the tasks that follow no response.
alone = Dispatcher(_NoCrew(), 0)
crosstown_traffic = CrosstownTraffic()


def report(task: Task, error: BaseException) -> None:
    """Tell ``crosstown_traffic.on_error`` of a task that failed, if the application has set it."""
    if crosstown_traffic.on_error is not None:
        crosstown_traffic.on_error(task, error)


alone.on_error = report
