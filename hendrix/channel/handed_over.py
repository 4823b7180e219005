"""Listening sockets that systemd hands over (sd_listen_fds(3)): ``systemd`` is all of them, ``systemd:web`` those of one name.

Twisted's own ``systemd:domain=INET:name=web`` wants to be told the family of a socket, which it has in its hand.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet import endpoints
from twisted.internet.endpoints import AdoptedStreamServerEndpoint

from hendrix.errors import ConfigurationError


def handed_over(reactor: Any, description: str) -> list[AdoptedStreamServerEndpoint] | None:
    """The endpoints of a description of ours; None if it is another's.

    :raises ConfigurationError: there is no such socket.
    """
    kind, _, name = description.partition(":")
    if kind != "systemd" or "=" in name:
        return None
    # Read from the environment, and removed from it, when Twisted's endpoints were imported. Nobody else has them.
    inherited = endpoints._SystemdParser._sddaemon
    names, descriptors = inherited._names, inherited.inheritedDescriptors()
    chosen = [fd for fd, its in zip(descriptors, names) if name in ("", its)]
    if not chosen:
        advice = f"there is {', '.join(names)}" if names else "start it by a systemd.socket unit, or give a port"
        raise ConfigurationError(f"--listen={description}: systemd has handed over no socket{' of that name' if names else ''}; {advice}")
    return [AdoptedStreamServerEndpoint(reactor, fd, _family(fd, description)) for fd in chosen]


def _family(fd: int, description: str) -> int:
    try:
        with socket.socket(fileno=os.dup(fd)) as handed:
            if handed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return handed.family
    except OSError:
        pass
    raise ConfigurationError(f"--listen={description}: the file descriptor {fd} is no listening stream socket; use ListenStream=")
