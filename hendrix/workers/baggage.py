"""What a worker is given to start with, over its link: settings, where to import from, and what its listening sockets are.

None of it stands on a command line, where everybody on the machine could read it.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from hendrix.errors import ConfigurationError
from hendrix.options import Settings

# What concerns the parent alone.
OF_THE_PARENT = ("listen", "key", "cert", "port_file", "control", "worker_timeout", "sibling", "serve", "status_token")


def packed(settings: Settings) -> dict[str, Any]:
    """The settings as JSON can say them.

    :raises ConfigurationError: the application is an object that a new process cannot import.
    """
    names = [field.name for field in dataclasses.fields(settings) if field.name not in OF_THE_PARENT]
    values = {name: getattr(settings, name) for name in names}
    if callable(settings.wsgi):
        values["wsgi"] = _importable(settings.wsgi)
    return values


def unpacked(values: Mapping[str, Any]) -> Settings:
    return Settings.from_mapping(values)


def interpreter(reactor: Any) -> dict[str, Any]:
    """What makes a new interpreter like this one."""
    return {"path": [entry or os.getcwd() for entry in sys.path], "python_path": os.environ.get("PYTHONPATH"), "reactor": _kind(reactor)}


def _kind(reactor: Any) -> str:
    """The module whose ``install`` makes such a reactor."""
    loop = getattr(reactor, "_asyncioEventloop", None)
    return "hendrix.uvloopreactor" if type(loop).__module__.startswith("uvloop") else type(reactor).__module__


def _importable(application: Any) -> str:
    """The name by which a module that has been imported has this object."""
    first = sys.modules.get(getattr(application, "__module__", ""))
    for module in [*([first] if first else []), *list(sys.modules.values())]:
        if isinstance(module, ModuleType) and module.__spec__ is not None and module.__name__ != "__main__":
            for name, value in list(vars(module).items()):
                if value is application:
                    return f"{module.__name__}:{name}"
    raise ConfigurationError(
        f"wsgi={application!r}: workers are new processes and import the application by its name; "
        "give that, wsgi='package.module:attribute', or workers=0"
    )
