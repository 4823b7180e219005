"""A Django project whose tasks wait in a database, with one task that does nothing; DATABASE is the file of that database.

``database_tasks.py enqueue N`` puts N of them into it, ``database_tasks.py run`` runs them all and prints the seconds it took.
"""

from __future__ import annotations

import os
import sys
import time

import django
from django.conf import settings

settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["DATABASE"],
            "OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL"},
        }
    },
    INSTALLED_APPS=["django_tasks_db"],
    TASKS={"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}},
    USE_TZ=True,
)
django.setup()

from django.core.management import call_command  # noqa: E402

try:
    from django.tasks import task
except ImportError:
    from django_tasks import task


@task()
def nothing() -> None:
    """The task."""


def main(what: str, count: str = "0") -> None:
    """Do what the first word says."""
    if what == "enqueue":
        call_command("migrate", verbosity=0)
        for _ in range(int(count)):
            nothing.enqueue()
    else:
        before = time.perf_counter()
        call_command("db_worker", batch=True, startup_delay=False, interval=0, verbosity=0)
        print(time.perf_counter() - before)


if __name__ == "__main__":
    sys.modules["database_tasks"] = sys.modules["__main__"]  # a task is looked up by the name of its module
    nothing.func.__module__ = "database_tasks"
    main(*sys.argv[1:])
