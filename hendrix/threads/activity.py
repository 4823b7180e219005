"""What the workers of a crew are doing now, for people who wonder."""

from __future__ import annotations

import os
import sys
import sysconfig
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import FrameType

from hendrix.threads.worker import Worker

HENDRIX = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
# What is installed, and the standard library: code that nobody who asks has written.
INSTALLED = (*(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")), "<frozen")


@dataclass(frozen=True)
class Activity:
    """One worker.

    :ivar doing: the title of its job, such as ``GET /slow``; "" if it has none.
    :ivar seconds: how long it has been at it; 0 for less than some milliseconds.
    :ivar line: the innermost line of the application's own code, or else of any code that is not hendrix's.
    :ivar stack: all lines from the application inwards.
    """

    thread: str
    doing: str
    seconds: float
    line: str
    stack: list[str]


def activities(workers: Iterable[Worker], clock: Callable[[], float] = time.monotonic) -> list[Activity]:
    """All of them (any thread)."""
    frames = sys._current_frames()
    return [_activity(worker, frames.get(worker.ident), clock()) for worker in workers]


def _activity(worker: Worker, frame: FrameType | None, now: float) -> Activity:
    job, (jobs, noticed) = worker.job, worker.noticed
    if job is None or frame is None:
        return Activity(worker.name, "", 0.0, "", [])
    title = getattr(job, "title", "") or type(job).__name__
    lines, own = _stack(frame)
    return Activity(worker.name, title, now - noticed if jobs == worker.jobs else 0.0, own, lines)


def _stack(frame: FrameType) -> tuple[list[str], str]:
    """The lines from where hendrix calls something else inwards, and the innermost of the application among them."""
    summary = traceback.extract_stack(frame)
    outside = [not one.filename.startswith(HENDRIX) for one in summary]
    ours = outside.index(False) if False in outside else 0
    inner = summary[outside.index(True, ours) :] if True in outside[ours:] else summary[-1:]
    own = [one for one in inner if not one.filename.startswith((HENDRIX, *INSTALLED))]
    return [_text(one) for one in inner], _text((own or inner)[-1])


def _text(frame: traceback.FrameSummary) -> str:
    name = os.path.relpath(frame.filename) if frame.filename.startswith(os.getcwd() + os.sep) else frame.filename
    return f"{name}:{frame.lineno} {frame.name}" + (f": {frame.line}" if frame.line else "")
