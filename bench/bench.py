#!/usr/bin/env python3
"""Measure hendrix beside its peers: `make bench`, or `python bench/bench.py --help`. README.md says how to read the result."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path

import brokers
import crosstown
import machine
import realtime
import scaling
import sleepers
from goals import judge
from idle import measure_idle, raise_limit
from launch import free_port, launch
from load import CLOSE, KEEP_ALIVE, measure, wrk
from processes import Process
from report import Context, render
from results import Cell, Results
from servers import APPS, HENDRIX, SERVERS, App, Server

RESULTS = machine.HERE / "RESULTS.md"
MODES = [KEEP_ALIVE, CLOSE]
NARROWING = (
    "servers",
    "apps",
    "connections",
    "modes",
    "rounds",
    "seconds",
    "threads",
    "idle",
    "crosstown",
    "workers",
    "realtime",
    "brokers",
    "vary",
)


class Bench:
    """One run: which servers, apps and connections, on which cores."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.results = Results()
        self.broken: set[tuple[str, str]] = set()  # (server, app) that did not start: not tried again
        own, client = machine.two_cores()
        self.server_core = own if options.server_core is None else options.server_core
        self.client_core = client if options.client_core is None else options.client_core

    def start(self, server: Server, app: App, mode: str, *extra: str) -> tuple[Process, int]:
        """Start a server on a free port; return it, answering, and the port. Raise ValueError if it does not answer rightly."""
        port = free_port()
        command = [*server.command(app.module, port, self.options.threads, mode == CLOSE), *extra]
        return launch(command, app, port, self.server_core, mode), port

    def run(self, servers: list[Server], apps: list[App]) -> None:
        """Do all the rounds. In each, the servers take turns within an app, another one first each time, so that noise hits all alike."""
        for turn in range(self.options.rounds):
            for app in apps:
                if app.name == "waiting":
                    self.results.asleep.append(sleepers.measure(self.options.threads, self.options.seconds, self.server_core))
                shift = turn % len(servers)
                for server in servers[shift:] + servers[:shift]:
                    if (server.name, app.name) not in self.broken:
                        self.guarded(server, app, turn)
        if self.options.crosstown and HENDRIX in servers:
            cores = self.server_core, self.client_core
            self.results.crosstown = crosstown.run(self.options.threads, cores, quick=self.options.quick, fault=self.fault)
        if self.options.workers and HENDRIX in servers:
            self.run_workers()
        if self.options.realtime and HENDRIX in servers:
            self.run_realtime()
        if self.options.brokers and HENDRIX in servers:
            cores = self.server_core, self.client_core
            self.results.brokers = brokers.run(cores, quick=self.options.quick, fault=self.fault)
        if self.options.idle and HENDRIX in servers:
            self.run_idle(APPS["bare"])

    def guarded(self, server: Server, app: App, turn: int) -> None:
        """Measure one server with one app; a failure is a fault in the report, not the end of the run."""
        modes = self.options.modes if app.name != "waiting" else [KEEP_ALIVE]
        try:
            for group in [[mode] for mode in modes] if server.closing_words else [modes]:  # its own process for each mode, or one
                self.measure_one(server, app, group, turn)
        except (OSError, ValueError) as error:
            self.broken.add((server.name, app.name))
            self.fault(f"{server.name}, {app.name}: {error}")

    def measure_one(self, server: Server, app: App, modes: list[str], turn: int) -> None:
        """Start a server, warm it up, measure each mode and number of connections, stop it."""
        process, port = self.start(server, app, modes[0])
        with process:
            cold = process.pss()
            wrk(port, max(self.options.connections), 1, modes[0], self.client_core)
            for mode in modes:
                for count in self.options.connections:
                    sample = measure(process, port, app, count, self.options.seconds, mode, self.client_core)
                    self.results.add(Cell(server.name, app.name, mode, count), sample)
                    print(
                        f"{turn + 1}  {app.name:8s} {mode:10s} {count:4d}  {server.name:17s} {sample.cpu:8.1f} µs {sample.rate:9.0f} req/s"
                        f"   p50 {sample.p50:7.2f} ms   p99 {sample.p99:7.2f} ms   {'; '.join(sample.faults)}",
                        flush=True,
                    )
            self.results.memory.setdefault((server.name, app.name), []).append((cold, process.pss()))
            if trouble := process.tracebacks():
                self.fault(f"{server.name}, {app.name}: {trouble} tracebacks in its log, at the end: {process.output()}")

    def run_workers(self) -> None:
        """Measure worker processes."""
        try:
            self.results.scaling = scaling.run(self.options.rounds, self.options.seconds, fault=self.fault)
        except (OSError, ValueError) as error:
            self.fault(f"{HENDRIX.name}, workers: {error}")

    def run_realtime(self) -> None:
        """Measure WebSockets, beside who else holds them."""
        options, cores = self.options, (self.server_core, self.client_core)
        found = realtime.run(options.threads, cores, quick=options.quick, seconds=options.seconds, idle=options.idle, fault=self.fault)
        self.results.realtime = found

    def run_idle(self, app: App) -> None:
        """Measure the idle connections of hendrix."""
        raise_limit(2 * self.options.idle + 1000)
        try:
            process, port = self.start(HENDRIX, app, KEEP_ALIVE, "--keepalive=600")
            with process:
                wrk(port, max(self.options.connections), 2, KEEP_ALIVE, self.client_core)
                idle = self.results.idle = measure_idle(process, port, app, self.options.idle)
            print(f"   {idle.connections} idle connections: {idle.memory:.2f} KiB each, a new request takes {idle.p50:.1f} ms", flush=True)
            if not idle.alive:
                self.fault(f"{HENDRIX.name}, idle connections: not all of them answered a second request")
        except (OSError, ValueError) as error:
            self.fault(f"{HENDRIX.name}, idle connections: {error}")

    def fault(self, text: str) -> None:
        """Print what went wrong; keep who and the last line of it, for the report: a traceback is full of paths."""
        who, _, what = text.partition(": ")
        self.results.faults.append(f"{who}: {what.strip().rpartition(chr(10))[2]}")
        print(f"   FAULT {text}", flush=True)


def parse(argv: list[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="A full run takes a quarter of an hour and writes bench/RESULTS.md; a narrowed one (--quick or a selection) only prints.",
    )
    parser.add_argument("servers", nargs="*", metavar="SERVER", help=f"servers to measure: {' '.join(SERVERS)} (default: all)")
    parser.add_argument("-a", "--apps", nargs="+", choices=list(APPS), default=list(APPS), help="apps to serve (default: all)")
    parser.add_argument("-c", "--connections", nargs="+", type=int, default=[8, 64], help="numbers of connections (default: 8 64)")
    parser.add_argument("-m", "--modes", nargs="+", choices=MODES, default=MODES, help="close: one connection per request")
    parser.add_argument("-r", "--rounds", type=int, default=2, help="rounds to take the median of (default: 2)")
    parser.add_argument("-s", "--seconds", type=int, default=3, help="whole seconds of each measurement (default: 3)")
    parser.add_argument("-t", "--threads", type=int, default=8, help="threads of each server (default: 8)")
    parser.add_argument("-q", "--quick", action="store_true", help="one round of 1 s: to see that it works, the figures are rough")
    parser.add_argument("--vary", action="store_true", help="each request another one: a server that remembers heads gains nothing by it")
    parser.add_argument("--idle", type=int, default=10_000, metavar="N", help="idle connections (default: 10000; 0: none)")
    parser.add_argument("--no-crosstown", dest="crosstown", action="store_false", help="leave out crosstown traffic")
    parser.add_argument("--no-workers", dest="workers", action="store_false", help="leave out worker processes")
    parser.add_argument("--no-realtime", dest="realtime", action="store_false", help="leave out WebSockets")
    parser.add_argument("--no-brokers", dest="brokers", action="store_false", help="leave out messages through a broker")
    parser.add_argument("--out", type=Path, help="file to write the report to, also for a narrowed run")
    parser.add_argument("--server-core", type=int, help="core for the servers (default: the first)")
    parser.add_argument("--client-core", type=int, help="core for wrk (default: the next that shares nothing with it)")
    options = parser.parse_args(argv)
    if unknown := [name for name in options.servers if name not in SERVERS]:
        parser.error(f"no server {unknown[0]!r}: choose from {' '.join(SERVERS)}")
    if min(options.rounds, options.seconds, options.threads, *options.connections) < 1:
        parser.error("rounds, seconds, threads and connections start at 1")
    whole = parser.parse_args([])
    narrowed = options.quick or any(getattr(options, name) != getattr(whole, name) for name in NARROWING)
    if options.quick:
        options.rounds, options.seconds = 1, 1
    if options.out is None and not narrowed:
        options.out = RESULTS
    return options


def main(argv: list[str]) -> int:
    """Run, report; return 0 unless something was wrong with hendrix: an answer, not a goal."""
    options = parse(argv)
    machine.require("taskset", "wrk")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the servers are ended on the way out
    bench = Bench(options)
    servers = [SERVERS[name] for name in options.servers or SERVERS]
    for server in [server for server in servers if not machine.version(server.package)]:
        servers.remove(server)
        bench.fault(f"{server.name}: not installed (`make bench`, or pip install --editable . --requirement bench/requirements.txt)")
    if options.vary:
        os.environ["BENCH_VARY"] = "1"  # for wrk.lua
    start, before = time.time(), os.getloadavg()
    bench.run(servers, [APPS[name] for name in options.apps])
    context = Context(
        date=time.strftime("%d %B %Y", time.localtime(start)),
        duration=(time.time() - start) / 60,
        machine=machine.cpu_model(),
        versions=machine.versions(),
        load=(spell(before), spell(os.getloadavg())),
        rounds=options.rounds,
        seconds=options.seconds,
        threads=options.threads,
        connections=tuple(options.connections),
        modes=tuple(options.modes),
    )
    text = render(bench.results, context)
    print("\n" + text)
    if options.out:
        options.out.write_text(text)
        print(f"written to {options.out}")
    results = bench.results
    goals = judge(results, options.threads) + crosstown.judge(results.crosstown)
    goals += scaling.judge(results.scaling) + realtime.judge(results.realtime) + brokers.judge(results.brokers)
    verdicts = [goal.met for goal in goals if not goal.aim]
    print(f"goals: {verdicts.count(True)} met, {verdicts.count(False)} missed, {verdicts.count(None)} not measured")
    print(f"faults: {len(bench.results.faults)}")
    return 1 if any(fault.startswith(HENDRIX.name) for fault in bench.results.faults) else 0


def spell(load: tuple[float, float, float]) -> str:
    """Return load averages as uptime prints them."""
    return " ".join(f"{value:.2f}" for value in load)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
