#!/usr/bin/env python3
"""What threads can do that only sleep: python bench/sleepers.py THREADS SECONDS prints how often a second they have slept `WAIT`.

A sleep takes somewhat longer than was asked for. No server can answer the app "waiting" more often than that.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time

from machine import HERE
from servers import WAIT


def count(threads: int, seconds: float) -> float:
    """Let so many threads sleep, again and again. Return how often they have woken up, a second."""
    over = threading.Event()
    slept = [0] * threads

    def sleep(number: int) -> None:
        while not over.is_set():
            time.sleep(WAIT)
            slept[number] += 1

    sleepers = [threading.Thread(target=sleep, args=(number,)) for number in range(threads)]
    began = time.monotonic()
    for sleeper in sleepers:
        sleeper.start()
    over.wait(seconds)
    rate = sum(slept) / (time.monotonic() - began)
    over.set()
    for sleeper in sleepers:
        sleeper.join()
    return rate


def measure(threads: int, seconds: int, core: int) -> float:
    """The same in a process of its own, on the core of the servers."""
    command = ["taskset", "-c", str(core), sys.executable, str(HERE / "sleepers.py"), str(threads), str(seconds)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    print(count(int(sys.argv[1]), float(sys.argv[2])))
