"""What ``manage.py runserver`` does for a Django project beside serving it: checks, static files, and templates read anew."""

from __future__ import annotations

import io
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


def check() -> None:
    """Log what the system checks have to say, as ``manage.py check`` does. They do not keep the site from being served."""
    from django.core.management.base import BaseCommand, SystemCheckError

    said = io.StringIO()
    try:
        BaseCommand(stdout=said, stderr=said, no_color=True).check()
    except SystemCheckError as error:
        log.error("{error}", error=error)
    except Exception:  # as it finds errors in the code of the URLs: the first request shows them
        log.failure("the system checks cannot be made")
    if said.getvalue().strip():
        log.warn("{said}", said=said.getvalue().strip())


def changed(paths: Iterable[str]) -> None:
    """These files are not what they were: templates and translations are read anew."""
    if is_there():
        from django.utils.autoreload import file_changed

        for path in paths:
            for _, result in file_changed.send_robust(sender=None, file_path=Path(path)):
                if isinstance(result, Exception):
                    log.warn("{path} could not be read anew: {error}", path=path, error=result)
