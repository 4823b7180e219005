"""The command "profile": who may look into this process, and which one it is."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

from hendrix.control.commands import Commands
from hendrix.errors import PeerError

# prctl(2), where the Yama security module restricts who may trace whom: this process and its children may.
PR_SET_PTRACER = 0x59616D61


def add_profile(commands: Commands, process: str = "hendrix") -> None:
    """Add the command for a process that serves.

    :param process: the name of the process in the tree.
    """

    def profile(arguments: dict[str, Any]) -> dict[str, Any]:
        if arguments.get("worker") is not None:
            raise PeerError(400, f"worker={arguments['worker']}: this process serves by itself; leave the number out")
        let(tracer_of(arguments))
        return {"process": process, "pid": os.getpid()}

    takes = {"tracer": "the process id of who wants to look into it; 0 for nobody any more"}
    commands.add("profile", profile, "Let a profiler look into the process, and say which one that is.", {**takes, "worker": "none here"})


def tracer_of(arguments: dict[str, Any]) -> int:
    tracer = arguments.get("tracer", 0)
    if type(tracer) is not int or not 0 <= tracer < 1 << 31:
        raise PeerError(400, f"tracer={tracer}: give a process id")
    return tracer


def let(tracer: int) -> None:
    """Let this process, and no other, trace us. Without effect where nothing forbids it, and where it is not Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_ulong(tracer), 0, 0, 0)
