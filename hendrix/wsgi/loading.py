"""From the settings to the application that they name, or a line that says which part of the name is wrong.

Runs on the reactor thread in ``startService``: what it imports is the user's code, and that must not run as root before the process
has become who it should be. What goes wrong inside that code is raised with its cause, so that its traceback is shown.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hendrix.errors import ConfigurationError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from hendrix.options import Settings

DJANGO = "DJANGO_SETTINGS_MODULE"


def load(settings: Settings) -> tuple[WSGIApplication, str]:
    """Find, import or make the application; gives it and its name for people.

    Puts the current directory and ``--pythonpath`` in front of ``sys.path``, and ``--settings`` into the environment.
    Raises `ConfigurationError`.
    """
    see(settings.pythonpath)
    if settings.settings:
        os.environ[DJANGO] = settings.settings
    if settings.wsgi is None:
        return _django_project(f"--settings={settings.settings}" if settings.settings else "")
    if isinstance(settings.wsgi, str):
        return Name.parse(f"--wsgi={settings.wsgi}", settings.wsgi).load(), settings.wsgi
    return _checked("wsgi", settings.wsgi), _title(settings.wsgi)


def see(pythonpath: Sequence[str]) -> None:
    """Import from the current directory too, and from these."""
    here = [os.getcwd(), *pythonpath]
    sys.path[:] = [*dict.fromkeys(here), *(entry for entry in sys.path if entry not in here)]


def check(settings: Settings) -> None:
    """What can be said before any of the user's code runs: raises `ConfigurationError` for a name that cannot be one."""
    if isinstance(settings.wsgi, str):
        Name.parse(f"--wsgi={settings.wsgi}", settings.wsgi)


@dataclass(frozen=True)
class Name:
    """``package.module:attribute``, ``package.module.attribute``, either with ``()`` behind it for a factory."""

    blame: str  # what the user wrote, to begin an error with: "--wsgi=site:app"
    module: tuple[str, ...]
    attributes: tuple[str, ...]
    call: bool

    @classmethod
    def parse(cls, blame: str, text: str) -> Name:
        path, call = text.removesuffix("()"), text.endswith("()")
        module, colon, attributes = path.partition(":")
        if not colon:
            module, _, attributes = path.rpartition(".")
        name = cls(blame, tuple(module.split(".")), tuple(attributes.split(".")), call)
        if not all(map(str.isidentifier, name.module + name.attributes)):
            forms = "package.module.attribute, package.module:attribute or package.module:factory()"
            raise ConfigurationError(f"{blame}: write it as {forms}")
        return name

    def load(self) -> WSGIApplication:
        return _checked(self.blame, *self._found())

    def found(self) -> Any:
        """What has that name, whatever it is. Raises ConfigurationError."""
        return self._found()[0]

    def _found(self) -> tuple[Any, str]:
        where = ".".join(self.module)
        found: Any = _import(self.blame, where)
        for attribute in self.attributes:
            found, where = self._attribute(found, where, attribute), f"{where}.{attribute}"
        if self.call:
            factory = _callable(self.blame, found, where)
            found, where = run(self.blame, f"calling {where}()", factory), f"what {where}() returned"
        return found, where

    def _attribute(self, owner: Any, where: str, attribute: str) -> Any:
        try:
            return getattr(owner, attribute)
        except AttributeError:
            raise ConfigurationError(f"{self.blame}: {_missing(owner, where, attribute)}") from None


def _missing(owner: Any, where: str, attribute: str) -> str:
    if isinstance(owner, ModuleType) and hasattr(owner, "__path__") and find_spec(f"{where}.{attribute}"):
        return f"{where}.{attribute} is a module; name the application in it, such as {where}.{attribute}:application"
    near = [*difflib.get_close_matches(attribute, dir(owner), 1), *(name for name in ("application", "app") if hasattr(owner, name))]
    kind = "module " if isinstance(owner, ModuleType) else ""
    return f"{kind}{where} has no attribute {attribute!r}; " + (f"did you mean {near[0]}?" if near else "name one that it has")


def _callable(blame: str, found: Any, where: str) -> Callable[..., Any]:
    if callable(found):
        call: Callable[..., Any] = found
        return call
    kind = f"the module {found.__name__}" if isinstance(found, ModuleType) else f"of type {type(found).__name__}"
    raise ConfigurationError(f"{blame}: {where} is {kind} and cannot be called; name a WSGI application")


def _checked(blame: str, found: Any, where: str = "it") -> WSGIApplication:
    """The object if it can be called as PEP 3333 does; a factory without its parentheses or an ASGI application cannot."""
    application: WSGIApplication = _callable(blame, found, where)
    try:
        inspect.signature(application).bind({}, None)
    except TypeError:
        advice = "a factory is written with () behind it; an ASGI application cannot be served"
        raise ConfigurationError(f"{blame}: {where} does not take (environ, start_response); {advice}") from None
    except ValueError:
        pass  # written in C, without a signature
    return application


# --- Django ------------------------------------------------------------------------------------------------------------


def _django_project(blame: str) -> tuple[WSGIApplication, str]:
    blame = blame or _find_settings()
    _import(blame, "django")
    _import(blame, os.environ[DJANGO])
    from django.conf import settings as django_settings

    name = run(blame, "reading the Django settings", lambda: getattr(django_settings, "WSGI_APPLICATION", None))
    if name:
        return Name.parse(f"WSGI_APPLICATION={name!r} in {os.environ[DJANGO]}", name).load(), name
    from django.core.wsgi import get_wsgi_application

    return run(blame, "setting Django up", get_wsgi_application), f"Django with {os.environ[DJANGO]}"


def _find_settings() -> str:
    """Leaves the settings module in the environment; gives where it came from."""
    if os.environ.get(DJANGO):
        return f"{DJANGO}={os.environ[DJANGO]}"
    manage = os.path.abspath("manage.py")
    if not os.path.exists(manage):
        raise ConfigurationError(
            "there is no application to serve: give --wsgi=package.module:attribute, or --settings=MODULE for a Django project, "
            f"or start in the directory of its manage.py ({os.getcwd()} has none)"
        )
    module = settings_in(manage)
    if module is None:
        raise ConfigurationError(f"{manage}: it sets no {DJANGO} that can be read without running it; give --settings=MODULE")
    os.environ[DJANGO] = module
    return f"{manage} ({DJANGO}={module})"


def settings_in(manage: str) -> str | None:
    """The settings module that a ``manage.py`` puts into the environment, read from its syntax tree."""
    try:
        with open(manage, "rb") as file:
            tree = ast.parse(file.read(), manage)
    except (OSError, SyntaxError, ValueError):
        return None
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Attribute(attr="environ") | ast.Name(id="environ"), attr="setdefault"),
                args=[ast.Constant(value="DJANGO_SETTINGS_MODULE"), ast.Constant(value=str(module))],
            ):
                return module
            case ast.Assign(
                targets=[
                    ast.Subscript(ast.Attribute(attr="environ") | ast.Name(id="environ"), ast.Constant(value="DJANGO_SETTINGS_MODULE"))
                ],
                value=ast.Constant(value=str(module)),
            ):
                return module
    return None


# --- running the user's code -------------------------------------------------------------------------------------------


def _import(blame: str, module: str) -> ModuleType:
    try:
        return import_module(module)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and not _in_user_code(error):
            path = "on the Python path; check the spelling, install it, or add its directory with --pythonpath"
            raise ConfigurationError(f"{blame}: there is no module {error.name!r} in {os.getcwd()} or {path}") from None
        raise _failed(blame, f"importing {module}", error)


def run(blame: str, doing: str, call: Callable[[], Any]) -> Any:
    """Call the user's code. Raises ConfigurationError with what it raises as the cause."""
    try:
        return call()
    except (Exception, SystemExit) as error:
        raise _failed(blame, doing, error)


def _failed(blame: str, doing: str, error: BaseException) -> ConfigurationError:
    """With the error as its cause, whose traceback begins where the user's code does."""
    _in_user_code(error)
    line = (str(error).splitlines() or ["no message"])[0]
    failed = ConfigurationError(f"{blame}: {doing} raised {type(error).__name__}: {line}; its traceback stands above")
    failed.__cause__ = error
    return failed


def _in_user_code(error: BaseException) -> bool:
    """Cut the frames of this file and of the import system off the traceback; is there anything left?"""
    trace = error.__traceback__
    while (
        trace and (name := trace.tb_frame.f_code.co_filename) and (name in (__file__, inspect.getfile(import_module)) or "<frozen" in name)
    ):
        trace = trace.tb_next
    error.__traceback__ = trace
    return trace is not None


def _title(application: object) -> str:
    named = application if hasattr(application, "__qualname__") else type(application)
    return f"{named.__module__}.{named.__qualname__}"
