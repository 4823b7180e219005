"""``TASKS = {"default": {"BACKEND": "hendrix.django.tasks.CrosstownBackend"}}``: Django's tasks, run when the response is out.

Where Django has no tasks yet (5.2), it is the backend of the package ``django-tasks``.
"""

from __future__ import annotations

from hendrix.django.backend import Api, CrosstownTasks

try:
    from django.tasks import base, exceptions, signals
except ImportError:
    from hendrix.django.tasks_backport import CrosstownBackend
else:
    from django.tasks.backends.base import BaseTaskBackend
    from django.utils.json import normalize_json

    class CrosstownBackend(CrosstownTasks, BaseTaskBackend):  # type: ignore[misc, no-redef]
        """For ``django.tasks``. The options are those of `CrosstownTasks`."""

        api = Api(base, exceptions, signals, normalize_json)


__all__ = ["CrosstownBackend"]
