"""Where the results of tasks are kept: in this process, all that are under way, and so many of those that have ended."""

from __future__ import annotations

import threading
from collections import OrderedDict
from copy import copy
from typing import Any

Result = Any
"""A ``TaskResult``, of Django or of the backport."""


class Results:
    """What is stored is live: it changes while its task runs. What is given out are copies, which ``refresh()`` brings up to date.

    :param limit: ended results that are kept; the ones that ended first go first.
    :ivar lock: to be held while a stored result is changed.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        # Reentrant: the garbage collector may cancel a task on a thread that is in here.
        self.lock = threading.RLock()
        self._under_way: dict[str, Result] = {}
        self._ended: OrderedDict[str, Result] = OrderedDict()

    def add(self, result: Result) -> None:
        with self.lock:
            self._under_way[result.id] = result

    def end(self, result: Result) -> None:
        """It will not change any more."""
        with self.lock:
            self._under_way.pop(result.id, None)
            self._ended[result.id] = result
            while len(self._ended) > self.limit:
                self._ended.popitem(last=False)

    def get(self, result_id: str) -> Result | None:
        """A copy of the result with this id, None if it is not here, or no longer."""
        with self.lock:
            result = self._under_way.get(result_id) or self._ended.get(result_id)
            return self.copy(result) if result is not None else None

    def copy(self, result: Result) -> Result:
        with self.lock:
            copied = copy(result)
            change(copied, errors=list(result.errors), worker_ids=list(result.worker_ids))
        return copied

    def clear(self) -> None:
        with self.lock:
            self._under_way.clear()
            self._ended.clear()


def change(result: Result, **values: Any) -> None:
    """Results are frozen for all but their backend."""
    for name, value in values.items():
        object.__setattr__(result, name, value)


# A backend object lives in one thread; its results are those of the process.
_stores: dict[tuple[str, str], Results] = {}
_lock = threading.Lock()


def store(package: str, alias: str, limit: int) -> Results:
    """The results of the backend of this alias, in all threads."""
    with _lock:
        results = _stores.setdefault((package, alias), Results(limit))
    results.limit = limit
    return results
