"""The app config: hooks Django into crosstown traffic when Django is set up, and only then."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.signals import request_started


class HendrixConfig(AppConfig):  # type: ignore[misc]
    """``"hendrix.django"`` among the ``INSTALLED_APPS``."""

    name = "hendrix.django"
    label = "hendrix"
    verbose_name = "hendrix"

    def ready(self) -> None:
        from hendrix.crosstown import around, traffic
        from hendrix.django.client import find_test_client
        from hendrix.django.commit import publish_on_commit, start_on_commit
        from hendrix.django.surroundings import fresh_connections, in_language_and_time_zone
        from hendrix.hey_joe import facade

        traffic.start_on_commit = start_on_commit
        facade.publish_on_commit = publish_on_commit
        if fresh_connections not in around.around:
            around.around.append(fresh_connections)
            traffic.carrying.append(in_language_and_time_zone)
        request_started.connect(find_test_client, dispatch_uid="hendrix.django")
