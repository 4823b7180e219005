"""What ``manage.py runserver`` does for a Django project beside serving it: static files, and templates read anew."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from twisted.logger import Logger

from hendrix.wsgi.call import Application

log = Logger(namespace="hendrix.dev")

STATICFILES = "django.contrib.staticfiles"


def is_there() -> bool:
    """Whether the application is part of a Django project that has been set up."""
    if "django.apps" not in sys.modules:
        return False
    from django.apps import apps

    return bool(apps.ready)


def beside_static_files(application: Application) -> Application:
    """The application, and under STATIC_URL the static files of the project where runserver would serve them."""
    from django.apps import apps
    from django.conf import settings

    if not (settings.DEBUG and apps.is_installed(STATICFILES) and settings.STATIC_URL):
        return application
    from django.contrib.staticfiles.handlers import StaticFilesHandler

    both: Application = StaticFilesHandler(application)
    return both


def changed(paths: Iterable[str]) -> None:
    """These files are not what they were: templates and translations are read anew."""
    if is_there():
        from django.utils.autoreload import file_changed

        for path in paths:
            for _, result in file_changed.send_robust(sender=None, file_path=Path(path)):
                if isinstance(result, Exception):
                    log.warn("{path} could not be read anew: {error}", path=path, error=result)
