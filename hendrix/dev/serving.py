"""What the worker serves: the application with its errors for all to see, or the error that keeps it from being imported."""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger

from hendrix.dev import django_project
from hendrix.dev.page import Broken, CrashPage
from hendrix.errors import ConfigurationError
from hendrix.launch import explain
from hendrix.options import Settings
from hendrix.wsgi.call import Application
from hendrix.wsgi.loading import load

log = Logger(namespace="hendrix.dev")


def load_for_development(settings: Settings, first: bool) -> tuple[Application, str]:
    """As `load`; what goes wrong becomes a page, that the next save may mend.

    :param first: nothing has been served yet. Then a name that is wrong in the options is no page, but the end of the start.
    :raises ConfigurationError: that it is.
    """
    try:
        application, name = load(settings)
        if django_project.is_there():
            django_project.check()
            application = django_project.beside_static_files(application)
    except Exception as error:
        if first and isinstance(error, ConfigurationError) and error.__cause__ is None:
            raise
        log.error("{words}\nthe next save tries again", words=explain(error))
        return Broken(explain(error)), "an error page"
    return CrashPage(application), name


def told(message: dict[str, Any]) -> None:
    """By the parent, which watches the files."""
    match message:
        case {"changed": list(paths)}:
            django_project.changed(paths)
