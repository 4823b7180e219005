"""Where the control socket is, and how it gets there: only its user may connect, and nobody's live socket is taken away."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hendrix.client import beside, runtime_directory
from hendrix.errors import ConfigurationError

# Clients that the kernel lets wait while we are busy.
BACKLOG = 64


@dataclass(frozen=True)
class Address:
    """What is known about it before the process is who it will be.

    :ivar path: None for one of our own choice, in the directory of the user.
    :ivar chosen: somebody asked for this path, and the process must not start without it.
    :ivar owner: user and group that the process is going to be; None if it stays who it is.
    """

    path: str | None = None
    chosen: bool = False
    owner: tuple[int, int] | None = None


def address(control: str | None, launcher: Mapping[str, Any]) -> Address | None:
    """The address that the settings and the options of twistd, if that launches us, come to; None for none.

    :param control: a path, "off", or None for beside the pid file.
    """
    if control == "off":
        return None
    pidfile, uid, gid = (launcher.get(name) for name in ("pidfile", "uid", "gid"))
    owner = None if uid is None and gid is None or os.geteuid() else (-1 if uid is None else uid, -1 if gid is None else gid)
    return Address(control or (beside(pidfile) if pidfile else None), control is not None, owner)


class Unavailable(Exception):
    """There can be no control socket: one line."""


def bound(address: Address) -> socket.socket:
    """A socket that listens there. It may be bound by root for the user that the process is going to be.

    :raises ConfigurationError: another process listens there.
    :raises Unavailable: it cannot be bound.
    """
    path = address.path or _own_path()
    _remove_stale(path)
    listening = socket.socket(socket.AF_UNIX)
    listening.setblocking(False)
    mask = os.umask(0o177)  # 0600 from the first moment; a chmod by root afterwards could be led astray by a symbolic link
    try:
        listening.bind(path)
        if address.owner is not None:
            os.chown(path, *address.owner, follow_symlinks=False)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise Unavailable(f"{path}: {error.strerror or error}") from None
    finally:
        os.umask(mask)
    return listening


def removed(path: str) -> None:
    """Take a socket of ours out of the way; one that we may not remove is found to be dead by whoever wants its place."""
    try:
        os.unlink(path)
    except OSError:
        pass


def _own_path() -> str:
    """In the directory of the user, by the process id; with a number when this process has one there already."""
    directory = runtime_directory(os.geteuid())
    try:
        os.makedirs(directory, 0o700, exist_ok=True)
        status = os.lstat(directory)
    except OSError as error:
        raise Unavailable(f"{directory}: {error.strerror}") from None
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise Unavailable(f"{directory}: it must be a directory that only this user may enter")
    _sweep(directory)
    name, number = f"{os.getpid()}.control", 1
    while os.path.exists(path := os.path.join(directory, name)) and _is_live(path):
        number += 1
        name = f"{os.getpid()}-{number}.control"
    return path


def _sweep(directory: str) -> None:
    """Remove what processes that were killed have left there."""
    for name in os.listdir(directory):
        pid = name.partition(".")[0].partition("-")[0]
        if pid.isdecimal() and name.endswith(".control"):
            try:
                os.kill(int(pid), 0)
            except ProcessLookupError:
                removed(os.path.join(directory, name))
            except (OSError, OverflowError):
                pass


def _remove_stale(path: str) -> None:
    try:
        is_socket = stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return  # binding tells
    if not is_socket:
        raise ConfigurationError(f"--control={path}: there is a file of that name; give the path for a socket")
    if _is_live(path):
        raise ConfigurationError(f"--control={path}: another hendrix listens there; stop it, or give another path")
    removed(path)


def _is_live(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)  # one whose queue is full is alive too
        try:
            probe.connect(path)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return True
