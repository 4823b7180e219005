"""Results of tasks in the hub, so that any process of the site reads them, and outside of it whoever has HENDRIX_CONTROL."""

from __future__ import annotations

import logging
import os
from datetime import datetime, timezone as dt
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from hendrix import client
from hendrix.django.results import Result, change
from hendrix.errors import LocalError
from hendrix.hey_joe import branch as branches
from hendrix.hey_joe.branch import NoHub
from hendrix.hey_joe.message import BadPayload
from hendrix.hey_joe.reply import answer_of

logger = logging.getLogger("hendrix.django")

TIMES = ("enqueued_at", "started_at", "last_attempted_at", "finished_at")

# Seconds that a hendrix outside has to answer.
PATIENCE = 30.0


class ProcessEnded(LocalError):
    """The process of a task has ended before the task had: what an error of its result then names."""


class Everywhere:
    """The results of one backend. Any thread.

    :param base: the module of ``Task`` and ``TaskResult``.
    :param package: ``django.tasks`` or ``django_tasks``.
    :param keep: ended results that are kept.
    """

    def __init__(self, base: Any, package: str, alias: str, keep: int) -> None:
        self._base, self._alias, self._keep = base, alias, keep
        self._store = f"{package}/{alias}"

    def tell(self, result: Result, *, first: bool = False, ended: bool = False) -> None:
        """A result has changed. Nothing happens in a process that is none of hendrix's.

        :param first: nothing was said of it before.
        """
        branch = branches.current
        if branch is None:
            return
        keep = self._keep if ended else None
        try:
            try:
                branch.keep_result(self._store, result.id, {**(_beginning(result) if first else {}), **_state(result)}, keep)
            except BadPayload as error:
                logger.warning("the result %s of %s is known in this process alone: %s", result.id, result.task.module_path, error)
                branch.keep_result(self._store, result.id, {"too large": True}, keep)
        except NoHub:
            pass  # this process ends, and the hub says so to whoever asks

    def ask(self, id: str) -> Result | None:
        """The result as the hub knows it, None if it does not, or there is no way to one.

        :raises NoHub: this process ends.
        :raises ConfigurationError, LocalError: the hendrix that HENDRIX_CONTROL names cannot be reached.
        """
        branch = branches.current
        control = os.environ.get("HENDRIX_CONTROL")
        values: dict[str, Any] | None
        if branch is not None:
            values = answer_of(branch, lambda: branch.result(self._store, id))
        elif control not in (None, "", "off"):
            with client.connect(control, timeout=PATIENCE) as running:
                values = running.ask("result", store=self._store, key=id)
        else:
            return None
        return self._made(id, values) if values is not None and "too large" not in values else None

    def _made(self, id: str, values: dict[str, Any]) -> Result:
        if "lost_at" in values:
            values["status"] = self._base.TaskResultStatus.FAILED.value
            values["finished_at"] = datetime.fromtimestamp(values["lost_at"], dt.utc if settings.USE_TZ else None).isoformat()
            path = f"{ProcessEnded.__module__}.{ProcessEnded.__qualname__}"
            values["errors"].append([path, f"{path}: the process that had this task ended before the task did\n"])
        result = self._base.TaskResult(
            task=self._task(values),
            id=id,
            status=self._base.TaskResultStatus(values["status"]),
            args=values["args"],
            kwargs=values["kwargs"],
            backend=self._alias,
            errors=[self._base.TaskError(exception_class_path=path, traceback=trace) for path, trace in values["errors"]],
            worker_ids=values["worker_ids"],
            **{name: _time(values[name]) for name in TIMES},
        )
        change(result, _return_value=values["value"])
        return result

    def _task(self, values: dict[str, Any]) -> Any:
        """As it is in this process: its module is imported."""
        found = import_string(values["task"])
        func = found.func if isinstance(found, self._base.Task) else found
        return self._base.Task(
            func=func,
            priority=values["priority"],
            queue_name=values["queue_name"],
            backend=self._alias,
            run_after=_time(values["run_after"]),
            takes_context=values["takes_context"],
        )


def _beginning(result: Result) -> dict[str, Any]:
    """What does not change."""
    task = result.task
    return {
        "task": task.module_path,
        "priority": task.priority,
        "queue_name": task.queue_name,
        "run_after": task.run_after and task.run_after.isoformat(),
        "takes_context": task.takes_context,
        "args": result.args,
        "kwargs": result.kwargs,
    }


def _state(result: Result) -> dict[str, Any]:
    times = {name: getattr(result, name) for name in TIMES}
    return {
        "status": result.status.value,
        **{name: time and time.isoformat() for name, time in times.items()},
        "errors": [[error.exception_class_path, error.traceback] for error in result.errors],
        "worker_ids": result.worker_ids,
        "value": result._return_value,
    }


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text is not None else None
