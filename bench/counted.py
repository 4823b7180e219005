"""Run a Python script with every thread but the main one under cProfile: counted.py OUT SCRIPT ARG... (hotpath.py calls it).

SIGUSR2 writes the sum of all threads to OUT: twistd ends by a signal, so that nothing can be done at its end.
"""

from __future__ import annotations

import cProfile
import os
import pstats
import runpy
import signal
import sys
import threading
from typing import Any

profiles: list[cProfile.Profile] = []


def begin(*_: Any) -> None:
    """Take the place of the profile function that the new thread has called."""
    profiles.append(cProfile.Profile())
    profiles[-1].enable()


def main() -> None:
    """Run the script."""
    out, sys.argv = sys.argv[1], sys.argv[2:]
    del sys.path[0]  # this folder

    def write(*_: Any) -> None:
        pstats.Stats(*profiles).dump_stats(out + ".part")
        os.rename(out + ".part", out)

    signal.signal(signal.SIGUSR2, write)
    threading.setprofile(begin)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
