"""What a task finds around it: database connections that are alive, the language and the time zone of its author."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import close_old_connections, connections, reset_queries
from django.utils import timezone, translation

from hendrix.crosstown.around import Surrounded


@contextmanager
def fresh_connections(task: Surrounded) -> Iterator[None]:
    """Treat a task as Django treats a request: connections that are stale or broken are closed before it and after it (its thread).

    Those of an author in the middle of his work are left alone, and a thread that ends with its task closes all of its own.
    """
    if task.inline:
        yield
        return
    reset_queries()
    close_old_connections()
    try:
        yield
    finally:
        if task.thread_lives_on:
            close_old_connections()
        else:
            connections.close_all()


def in_language_and_time_zone(function: Callable[[], Any]) -> Callable[[], Any]:
    """Have a function called in the language and time zone that are active here.

    Django keeps them in asgiref's Local, which another thread does not see, not even with a copied context.
    """
    language, zone = translation.get_language(), timezone.get_current_timezone()

    def called_elsewhere() -> Any:
        with translation.override(language), timezone.override(zone):
            return function()

    return called_elsewhere
