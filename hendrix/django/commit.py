"""Tasks that wait for a commit: ``after_commit``."""

from __future__ import annotations

from collections.abc import Callable

from django.db import connections, transaction

from hendrix.crosstown.task import Task

Marks = dict[str, int]


class OnCommit:
    """What Django calls when the transaction commits, and forgets when it, or the savepoint, rolls back: then the task is cancelled."""

    __slots__ = ("_start", "_task")

    def __init__(self, task: Task, start: Callable[[], None]) -> None:
        self._task = task
        self._start: Callable[[], None] | None = start

    def __call__(self) -> None:
        start, self._start = self._start, None
        if start is not None:
            start()

    def __del__(self) -> None:
        if self._start is not None:
            self._task.cancel()


def start_on_commit(task: Task, start: Callable[[], None], alias: str | None) -> None:
    """Call ``start`` when the transaction that is open on this thread commits, at once if there is none.

    :raises django.db.transaction.TransactionManagementError: if transactions are managed by hand here, as `transaction.on_commit` does.
    """
    transaction.on_commit(OnCommit(task, start), using=alias)


def marks() -> Marks:
    """How many functions wait for a commit on each connection of this thread."""
    return {connection.alias: len(connection.run_on_commit) for connection in connections.all(initialized_only=True)}


def commit_since(since: Marks) -> None:
    """Start the tasks that have come to wait since then and have not been rolled back: for tests, whose transactions never commit."""
    for connection in connections.all(initialized_only=True):
        for entry in list(connection.run_on_commit[since.get(connection.alias, 0) :]):
            if isinstance(entry[1], OnCommit):
                entry[1]()
