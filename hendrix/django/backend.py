"""A backend for Django's tasks that runs them as crosstown traffic; `hendrix.django.tasks` is it for Django's own ``django.tasks``, and
`hendrix.django.tasks_backport` for the package ``django-tasks``.

In a request a task joins the tasks of its response; outside, ``OPTIONS["outside"]`` says what becomes of it. Inside a transaction it is
enqueued when that commits, and if it rolls back the result has failed without having been enqueued.
"""

from __future__ import annotations

import os
import threading
import time
from functools import partial
from traceback import format_exception, format_exception_only
from types import ModuleType
from typing import Any, NamedTuple

from django.apps import apps
from django.core.checks import Error
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections
from django.utils import timezone
from django.utils.crypto import get_random_string

from hendrix.crosstown import traffic
from hendrix.crosstown.gate import DEFAULT, parse
from hendrix.crosstown.task import NoGo, Task, TaskCancelled
from hendrix.crosstown.traffic import Following, NoResponse, alone, current
from hendrix.django.commit import OnCommit
from hendrix.django.everywhere import Everywhere
from hendrix.django.later import later
from hendrix.django.results import Result, change, store
from hendrix.django.surroundings import in_language_and_time_zone

OUTSIDE = ("now", "crew", "error")


class Api(NamedTuple):
    """The modules of Django's tasks, or of the backport."""

    base: ModuleType
    exceptions: ModuleType
    signals: ModuleType
    normalize_json: Any


class CrosstownTasks:
    """What the backends share; one object for each thread that uses it, as Django has it.

    ``OPTIONS``:

    - ``outside``: where there is no response: "now" runs the task in ``enqueue()``, "crew" on the threads of the server (on one of its own
      in a process that is none), "error" raises `NoResponse`. Default "now".
    - ``on_commit``: wait for the commit of a transaction that is open. Default True.
    - ``database``: the alias of the database whose transaction is meant. Default "default".
    - ``no_go_status_codes``: as `crosstown_traffic` has it. Default 4xx and 5xx.
    - ``results``: how many results of ended tasks are kept, in the process and in the hub. Default 1000.
    """

    api: Api
    alias: str
    options: dict[str, Any]
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = False  # the order is that of the enqueuing

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)  # type: ignore[call-arg]
        options = {"outside": "now", "on_commit": True, "database": DEFAULT_DB_ALIAS, "no_go_status_codes": DEFAULT, "results": 1000}
        unknown = set(self.options) - set(options)
        if unknown:
            raise ImproperlyConfigured(f"TASKS[{alias!r}]: unknown OPTIONS {sorted(unknown)}; there are {sorted(options)}")
        options |= self.options
        if options["outside"] not in OUTSIDE:
            raise ImproperlyConfigured(f'TASKS[{alias!r}]: OPTIONS["outside"] is one of {OUTSIDE}, not {options["outside"]!r}')
        self._outside, self._on_commit, self._database = options["outside"], options["on_commit"], options["database"]
        self._no_go = parse(options["no_go_status_codes"])
        self._results = store(self.api.base.__name__, alias, options["results"])
        self._everywhere = Everywhere(self.api.base, self.api.base.__name__.removesuffix(".base"), alias, options["results"])

    def check(self, **kwargs: Any) -> list[Any]:
        """Django's system check."""
        found = list(super().check(**kwargs) or ())  # type: ignore[misc]
        if not apps.is_installed("hendrix.django"):
            found.append(Error('CrosstownBackend needs "hendrix.django" in INSTALLED_APPS.', id="hendrix.E001"))
        return found

    def get_result(self, result_id: str) -> Result:
        """A copy of the result as it is now; any thread of any process of the site, and with HENDRIX_CONTROL also outside of it.

        :raises TaskResultDoesNotExist: it is not known, or no longer.
        """
        result = self._results.get(result_id) or self._everywhere.ask(result_id)
        if result is None:
            raise self.api.exceptions.TaskResultDoesNotExist(result_id)
        return result

    def clear(self) -> None:
        """Forget all results: for tests."""
        self._results.clear()

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Result:
        """Have the task run; gives its result as it is when this returns."""
        self.validate_task(task)  # type: ignore[attr-defined]
        response = current.get()
        if response is None and self._outside == "error":
            raise NoResponse(f"{task.module_path}: there is no response here that it could follow")
        result = self.api.base.TaskResult(
            task=task,
            id=get_random_string(32),
            status=self.api.base.TaskResultStatus.READY,
            enqueued_at=None,
            started_at=None,
            last_attempted_at=None,
            finished_at=None,
            args=args,
            kwargs=kwargs,
            backend=self.alias,
            errors=[],
            worker_ids=[],
        )
        self._results.add(result)
        job = Job(self, result)
        if self._on_commit and connections[self._database].in_atomic_block:
            self._everywhere.tell(result, first=True)
            connections[self._database].on_commit(OnCommit(job, partial(self._place, job, response)))
        else:
            self._place(job, response)
        return self._results.copy(result)

    def _place(self, job: Job, response: Following | None) -> None:
        change(job.task_result, enqueued_at=timezone.now())
        self._everywhere.tell(job.task_result, first=True)
        self.send("task_enqueued", job.task_result)
        if response is not None:
            response.follow_with(job)
        elif _seconds_to_wait(job.task_result.task) > 0:
            self._postpone(job)
        elif self._outside == "crew":
            _run_on_crew(job)
        else:
            job.inline = True
            alone.run(job)
            if isinstance(job.error, KeyboardInterrupt):
                raise job.error

    def _postpone(self, job: Job) -> None:
        later.at(job.task_result.task.run_after.timestamp(), job.name, partial(_run_on_crew, job))

    def run(self, job: Job) -> None:
        """The turn of a job has come (on its thread, in its context)."""
        result, states = job.task_result, self.api.base.TaskResultStatus
        if _seconds_to_wait(result.task) > 0:
            if not job.inline:  # under a test nothing starts behind its back
                current.set(None)  # when its time has come, it follows nothing any longer
                self._postpone(Job(self, result))
            return
        now = timezone.now()
        with self._results.lock:
            change(result, status=states.RUNNING, started_at=now, last_attempted_at=now)
            result.worker_ids.append(f"{os.getpid()}.{threading.get_native_id()}")
            self._everywhere.tell(result)
        try:
            self.send("task_started", result)
            context = (self.api.base.TaskContext(task_result=result),) if result.task.takes_context else ()
            value = self.api.normalize_json(result.task.call(*context, *result.args, **result.kwargs))
        except BaseException as error:
            self._end(result, states.FAILED, error, "".join(format_exception(error)))
            if isinstance(error, KeyboardInterrupt):
                raise
            self.send("task_finished", result)
            if not job.inline:
                raise  # so that it is logged with its request, and counted
        else:
            change(result, _return_value=value)
            self._end(result, states.SUCCESSFUL)
            self.send("task_finished", result)

    def drop(self, result: Result, error: Exception) -> None:
        """It will never run."""
        self._end(result, self.api.base.TaskResultStatus.FAILED, error, "".join(format_exception_only(error)))

    def _end(self, result: Result, status: Any, error: BaseException | None = None, trace: str = "") -> None:
        with self._results.lock:
            if error is not None:
                path = f"{type(error).__module__}.{type(error).__qualname__}"
                result.errors.append(self.api.base.TaskError(exception_class_path=path, traceback=trace))
            change(result, status=status, finished_at=timezone.now())
            self._results.end(result)
            self._everywhere.tell(result, ended=True)

    def send(self, signal: str, result: Result) -> None:
        """Tell the receivers of one of the three signals of tasks."""
        getattr(self.api.signals, signal).send(type(self), task_result=result)


class Job(Task):
    """The crosstown task that runs a task of Django, and tells its result what becomes of it."""

    __slots__ = ("_backend", "task_result")

    def __init__(self, backend: CrosstownTasks, result: Result) -> None:
        self._backend, self.task_result = backend, result
        super().__init__(in_language_and_time_zone(partial(backend.run, self)), result.task.module_path, backend._no_go)

    def cancel(self) -> bool:
        cancelled = super().cancel()
        if cancelled:  # no signal: it may come out of a rollback, or out of the garbage collector
            reason = "it was cancelled" if self.task_result.enqueued_at is not None else "its transaction did not commit"
            self._backend.drop(self.task_result, TaskCancelled(f"{self.name}: {reason}"))
        return cancelled

    def stop(self, code: int) -> bool:
        stopped = super().stop(code)
        if stopped:
            self._backend.drop(self.task_result, NoGo(f"{self.name} was stopped by the status {code}"))
            self._backend.send("task_finished", self.task_result)
        return stopped


def _seconds_to_wait(task: Any) -> float:
    return task.run_after.timestamp() - time.time() if task.run_after is not None else 0.0


def _run_on_crew(job: Job) -> None:
    if traffic.serving is not None:
        traffic.serving.submit(job)
    else:
        threading.Thread(target=alone.run, args=(job,), name=job.name).start()
