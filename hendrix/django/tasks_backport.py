"""The backend for the package ``django-tasks``, which brings tasks to Django before 6."""

from __future__ import annotations

from django_tasks import base, exceptions, signals
from django_tasks.backends.base import BaseTaskBackend
from django_tasks.utils import normalize_json

from hendrix.django.backend import Api, CrosstownTasks


class CrosstownBackend(CrosstownTasks, BaseTaskBackend):  # type: ignore[misc]
    """For ``django_tasks``. The options are those of `CrosstownTasks`."""

    api = Api(base, exceptions, signals, normalize_json)
