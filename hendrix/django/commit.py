"""Tasks and messages that wait for a commit: ``after_commit`` and ``on_commit``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections, transaction

from hendrix.crosstown.task import Task
from hendrix.hey_joe.rules import Rule

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


def publish_on_commit(
    topic: str, payload_text: str, rule: Rule, publish: Callable[[], None], schema: str | None, alias: str | None
) -> None:
    """See `hendrix.hey_joe.publish`. Where the database has the schema of the broker, the transaction itself publishes.

    :raises ImproperlyConfigured: the user of the database has no right to that.
    :raises django.db.transaction.TransactionManagementError: as for `start_on_commit`.
    """
    connection = connections[alias or DEFAULT_DB_ALIAS]
    if schema is None or connection.vendor != "postgresql" or not _has(connection, schema):
        transaction.on_commit(publish, using=alias)
        return
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT "{schema}".publish(%s, %s::json, %s, %s)', [topic, payload_text, rule.history, rule.age])


def _has(connection: Any, schema: str) -> bool:
    """Whether the schema is in this database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT has_schema_privilege(oid, 'USAGE'), current_user FROM pg_namespace WHERE nspname = %s", [schema])
        found = cursor.fetchone()
    if found is not None and not found[0]:
        user = found[1]
        raise ImproperlyConfigured(f"{user} may not publish by the broker in its database: GRANT USAGE ON SCHEMA {schema} TO {user}")
    return found is not None


def marks() -> Marks:
    """How many functions wait for a commit on each connection of this thread."""
    return {connection.alias: len(connection.run_on_commit) for connection in connections.all(initialized_only=True)}


def commit_since(since: Marks) -> None:
    """Start the tasks that have come to wait since then and have not been rolled back: for tests, whose transactions never commit."""
    for connection in connections.all(initialized_only=True):
        for entry in list(connection.run_on_commit[since.get(connection.alias, 0) :]):
            if isinstance(entry[1], OnCommit):
                entry[1]()
