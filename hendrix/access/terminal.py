"""A line of the access log for the eyes of who develops: time, method, target, status, size, duration; in colours on a terminal."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

# By the first digit of the status: SGR codes (ECMA-48).
COLOURS: Mapping[str, str] = {"1": "36", "2": "32", "3": "36", "4": "33", "5": "1;31"}
DIM = "2"


def in_colour(descriptor: int, environ: Mapping[str, str]) -> bool:
    """Whether what is written there is seen in colours: on a terminal that has some, unless NO_COLOR is set (no-color.org)."""
    return not environ.get("NO_COLOR") and environ.get("TERM") != "dumb" and os.isatty(descriptor)


def terminal_line(when: float, method: str, target: str, status: int, sent: int, duration: float, coloured: bool) -> str:
    """:param target: and ``method``: escaped, so that they are printable.
    :param when: seconds since 1970.
    :param duration: seconds.
    """
    clock = time.strftime("%H:%M:%S", time.localtime(when))
    request, numbers = f"{method or '-'} {target}", f"{sent} bytes, {duration * 1000:.1f} ms"
    if not coloured:
        return f"{clock} {status} {request} ({numbers})\n"
    colour = COLOURS.get(str(status)[:1], "0")
    return f"\x1b[{DIM}m{clock}\x1b[0m \x1b[{colour}m{status} {request}\x1b[0m \x1b[{DIM}m({numbers})\x1b[0m\n"
