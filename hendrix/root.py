"""After ``twistd --chroot`` the process has another root directory: is what it still needs in there? If not, one line says what to do."""

from __future__ import annotations

import os
import sys

from hendrix.errors import ConfigurationError


def check_root(*, spawns: bool = False) -> None:
    """Look at the root directory that the process has now.

    :param spawns: an interpreter is started there, for workers.
    :raises ConfigurationError: something is missing.
    """
    if not os.path.exists(os.devnull):
        raise ConfigurationError(f"--chroot: there is no {os.devnull} inside; make one with mknod -m 666 DIRECTORY/dev/null c 1 3")
    for what, path in {"Python's library": os.path.dirname(os.__file__), "hendrix itself": os.path.dirname(__file__)}.items():
        if not _is_there(path):
            raise ConfigurationError(
                f"--chroot: {what} is not inside: {path} must be in the new root directory under this name, as all that is imported later"
            )
    if spawns and not _is_there(sys.executable):
        raise ConfigurationError(f"--chroot: workers need an interpreter inside: there is no {sys.executable} in the new root directory")


def _is_there(path: str) -> bool:
    """Also where this user may not go: others say that better, and it has nothing to do with the root directory."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass
    return True
