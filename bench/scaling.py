#!/usr/bin/env python3
"""Worker processes: python bench/scaling.py. How much more do two serve than one, and what does each further one weigh? README.md."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass

import machine
from goals import Goal
from launch import free_port, launch
from load import KEEP_ALIVE, client_cpu, probe, wrk
from processes import Process
from servers import APPS, SERVERS, App

TIMES = 1.8
CONNECTIONS = 64
WORKERS = (1, 2)
FURTHER = 3  # worker processes, to weigh those beyond the first
THREADS = 4  # in each


@dataclass(frozen=True)
class Scaling:
    """What was found.

    :ivar rates: requests per second by the number of workers.
    :ivar cores: cores that the servers had: what wrk has left of two where there is none for it.
    :ivar weights: MiB of PSS for each worker process beyond the first, by server.
    """

    rates: dict[int, float]
    cores: dict[int, float]
    weights: dict[str, float]

    @property
    def times(self) -> float:
        """Two workers by one, each for a core of its own."""
        one, two = WORKERS
        return 2 * (self.rates[two] / self.cores[two]) / (self.rates[one] / self.cores[one])


def start(server: str, app: App, workers: int, cores: str) -> tuple[Process, int]:
    port = free_port()
    words = SERVERS[server].command(app.module, port, THREADS)
    if server == "hendrix":
        words.append(f"--workers={workers}")
    else:
        words[words.index("-w") + 1] = str(workers)
    return launch(["taskset", "-c", cores, *words], app, port, None, KEEP_ALIVE), port


def drive(workers: int, app: App, seconds: int, cores: list[int]) -> tuple[float, float]:
    """Requests per second, and the cores that were there for them."""
    own, client = cores[:2], cores[-1]
    process, port = start("hendrix", app, workers, ",".join(map(str, own[:workers])))
    with process:
        wrk(port, CONNECTIONS, 1, KEEP_ALIVE, client)
        before = client_cpu()
        counts = wrk(port, CONNECTIONS, seconds, KEEP_ALIVE, client)
        wall = counts["microseconds"] / 1e6
        taken = (client_cpu() - before) / wall if client in own[:workers] else 0.0
        probe(port, app, KEEP_ALIVE)
        return counts["requests"] / wall, workers - taken


def weigh(server: str, app: App, client: int) -> float:
    """MiB of PSS for each worker beyond the first, warm."""
    found = []
    for workers in (1, FURTHER):
        process, port = start(server, app, workers, str(client))
        with process:
            wrk(port, CONNECTIONS, 1, KEEP_ALIVE, client)
            wrk(port, CONNECTIONS, 1, KEEP_ALIVE, client)
            found.append(process.pss() / 1024)
    return (found[1] - found[0]) / (FURTHER - 1)


def run(rounds: int, seconds: int, *, fault: Callable[[str], None] = print) -> Scaling | None:
    """Measure all of it; half a minute. None where there is one core."""
    cores = sorted(os.sched_getaffinity(0))[:3]
    if len(cores) < 2:
        fault("two workers: there is one core")
        return None
    samples = {workers: [drive(workers, APPS["django"], seconds, cores) for _ in range(rounds)] for workers in WORKERS}
    weights = {}
    for server in ("hendrix", "gunicorn"):
        if machine.version(server):
            weights[SERVERS[server].name] = weigh(server, APPS["django"], cores[-1])
    rates = {workers: statistics.median(rate for rate, _ in found) for workers, found in samples.items()}
    return Scaling(rates, {workers: statistics.median(there for _, there in found) for workers, found in samples.items()}, weights)


def judge(found: Scaling | None) -> list[Goal]:
    """The goal of worker processes, with its verdict."""
    text = f"req/s, django, two workers on two cores: at least {TIMES} times one worker on one"
    if found is None:
        return [Goal(text)]
    one, two = (found.rates[workers] for workers in WORKERS)
    taken = WORKERS[1] - found.cores[WORKERS[1]]
    client = f"wrk took {taken:.2f} of the two cores, which is allowed for" if taken else "wrk on a third core"
    return [Goal(text, f"{found.times:.2f} ({two:,.0f} and {one:,.0f}; {client})", found.times >= TIMES)]


def weights_text(found: Scaling | None) -> str:
    """What worker processes weigh. Those of hendrix are interpreters of their own, those of gunicorn are forked."""
    if found is None:
        return ""
    weights = ", ".join(f"{name} {weight:.1f} MiB" for name, weight in found.weights.items())
    return f"PSS of each worker beyond the first, django, warm: {weights}"


def main() -> int:
    """Measure and print; 1 if a goal was missed and ``--strict`` was given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-r", "--rounds", type=int, default=3, help="rounds to take the median of (default: %(default)s)")
    parser.add_argument("-s", "--seconds", type=int, default=4, help="whole seconds of each (default: %(default)s)")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a goal is missed")
    options = parser.parse_args()
    found = run(options.rounds, options.seconds)
    goals = judge(found)
    print(weights_text(found))
    for goal in goals:
        print(f"{goal.text}: {goal.figures or '-'}: {'not measured' if goal.met is None else 'met' if goal.met else 'MISSED'}")
    return int(options.strict and not all(goal.met for goal in goals))


if __name__ == "__main__":
    sys.exit(main())
