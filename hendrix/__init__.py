"""One Twisted process tree for a whole Python web project.

The names in `__all__` are the public ones, and each is imported when it is first asked for (PEP 562): `import hendrix` in a
view or in a test installs no reactor and starts nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "6.0.0.dev0"
__all__ = [
    "HendrixDeploy",
    "HendrixDeployTLS",
    "LogHandler",
    "Options",
    "Settings",
    "crosstown_traffic",
    "errors",
    "gather",
    "hey_joe",
    "makeService",
    "request_id",
    "testing",
]

_MODULE_OF = {
    "HendrixDeploy": "deploy",
    "HendrixDeployTLS": "deploy",
    "LogHandler": "status.python_logging",
    "Options": "options",
    "Settings": "options",
    "crosstown_traffic": "crosstown.traffic",
    "gather": "crosstown.gather",
    "makeService": "service",
    "request_id": "crosstown.traffic",
}

if TYPE_CHECKING:
    from hendrix import errors as errors, hey_joe as hey_joe, testing as testing
    from hendrix.crosstown.gather import gather as gather
    from hendrix.crosstown.traffic import crosstown_traffic as crosstown_traffic, request_id as request_id
    from hendrix.deploy import HendrixDeploy as HendrixDeploy, HendrixDeployTLS as HendrixDeployTLS
    from hendrix.options import Options as Options, Settings as Settings
    from hendrix.service import makeService as makeService
    from hendrix.status.python_logging import LogHandler as LogHandler
else:

    def __getattr__(name):
        if name not in __all__:
            raise AttributeError(f"module 'hendrix' has no attribute {name!r}")
        if name not in _MODULE_OF:
            return import_module(f"hendrix.{name}")
        value = globals()[name] = getattr(import_module(f"hendrix.{_MODULE_OF[name]}"), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
