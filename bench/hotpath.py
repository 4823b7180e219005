#!/usr/bin/env python3
"""Show where the microseconds of a request go: python bench/hotpath.py [stacks|machine|syscalls|counts].

stacks: which Python functions (py-spy samples the thread that has the GIL). machine: which C functions, of Python, of extensions and of the
kernel (perf). syscalls: how many of which kind (perf, as root). counts: how often each Python function is called (cProfile, which slows the
server down). The first two turn shares into microseconds of CPU per request of the whole process tree.
"""

from __future__ import annotations

import argparse
import pstats
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import machine
from launch import free_port, launch
from load import CLOSE, KEEP_ALIVE, Sample, measure, wrk
from processes import Process
from servers import APPS, SERVERS

RATE = 200  # samples per second
SYSCALLS = """
accept4 clock_nanosleep close epoll_ctl epoll_pwait epoll_wait fcntl futex getpeername getsockname ioctl newfstat poll read recvfrom
recvmsg sendfile64 sendmsg sendto setsockopt shutdown socket timerfd_settime write writev
"""


class Profile:
    """One server under load, with a tool that watches it. Each method returns the text of its findings."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.app = APPS[options.app]
        self.out = folder / "out"
        self.port = free_port()
        self.server_core, self.client_core = machine.two_cores()

    def start(self, *before: str) -> Process:
        """Start the server, with words before its command, and warm it up."""
        options = self.options
        command = SERVERS[options.server].command(self.app.module, self.port, options.threads, options.mode == CLOSE)
        process = launch([*before, *command], self.app, self.port, self.server_core, options.mode)
        wrk(self.port, options.connections, 1, options.mode, self.client_core)
        return process

    def load(self, process: Process) -> Sample:
        """Drive the server for the seconds asked for."""
        return measure(process, self.port, self.app, self.options.connections, self.options.seconds, self.options.mode, self.client_core)

    def watched(self, process: Process, *tool: str) -> Sample:
        """Drive the server while a tool watches it; the tool runs on the client's core, and ends at SIGINT."""
        words = ["taskset", "-c", str(self.client_core), *tool]
        watcher = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        time.sleep(0.5)  # to attach; there is no sign of it that all tools give
        sample = self.load(process)
        if watcher.poll() is None:
            watcher.send_signal(signal.SIGINT)
        said, _ = watcher.communicate(timeout=60)
        if not self.out.exists():
            raise ValueError(f"{tool[0]} failed: {said}")
        return sample

    def stacks(self) -> str:
        """Sample the Python stacks with py-spy."""
        with self.start() as process:
            # --gil: py-spy takes threads that wait for work, of hendrix and of others, for busy ones
            words = ["record", "--pid", str(process.pid), "--subprocesses", "--threads", "--gil", "--format", "raw", "--rate", str(RATE)]
            user, system = process.times()
            sample = self.watched(process, f"{machine.BIN}/py-spy", *words, "--output", str(self.out), "--duration", "3600")
            user, system = process.times()[0] - user, process.times()[1] - system
        threads, files, selfs, inclusive, total = read_stacks(self.out.read_text(), self.options.lines)
        scale = 1e6 * user / sample.requests / max(1, total)
        top = self.options.top
        parts = [f"{headline(sample)}, {1e6 * system / sample.requests:.1f} µs of it in the kernel; the rest by {total} samples"]
        parts += ["by thread", *shares(threads, scale, top), "by file, itself", *shares(files, scale, top)]
        parts += ["by function, itself", *shares(selfs, scale, top), "by function, with all it calls", *shares(inclusive, scale, top)]
        return "\n".join(parts)

    def machine(self) -> str:
        """Sample the processor with perf; from Python 3.12 on, Python functions have symbols of their own."""
        with self.start("env", "PYTHONPERFSUPPORT=1") as process:
            pids = ",".join(map(str, process.tree()))
            sample = self.watched(process, "perf", "record", "--quiet", "-F", str(RATE), "-o", str(self.out), "--pid", pids)
            parts = [headline(sample)]
            for title, sort in (("by file", "dso"), ("by function", "dso,symbol")):
                words = ["perf", "report", "--stdio", "--no-children", "--input", str(self.out), "--sort", sort]
                report = subprocess.run(words, capture_output=True, text=True).stdout
                rows = re.findall(r"^\s+([\d.]+)%\s+(\S.*?)[\s-]*$", report, re.MULTILINE)
                parts += [title, *(f"{float(share) / 100 * sample.cpu:9.2f} µs  {name}" for share, name in rows[: self.options.top])]
        return "\n".join(parts)

    def syscalls(self) -> str:
        """Count the system calls with perf."""
        with self.start() as process:
            pids = ",".join(map(str, process.tree()))
            events = ",".join(f"syscalls:sys_enter_{name}" for name in SYSCALLS.split())
            sample = self.watched(process, "perf", "stat", "-x,", "-o", str(self.out), "-e", events, "--pid", pids)
        rows = re.findall(r"^(\d+),,syscalls:sys_enter_(\w+)", self.out.read_text(), re.MULTILINE)
        counts = Counter({name: int(count) for count, name in rows})
        lines = [f"{count / sample.requests:9.3f}     {name}" for name, count in counts.most_common(self.options.top) if count]
        return "\n".join([f"{headline(sample)}; system calls per request", *lines])

    def counts(self) -> str:
        """Count the calls with cProfile, in all threads but the main one."""
        if sys.version_info >= (3, 12):
            sys.exit("hotpath: error: from Python 3.12 on, cProfile takes all threads for one; use stacks, or Python 3.11")
        with self.start(sys.executable, str(machine.HERE / "counted.py"), str(self.out)) as process:
            sample = self.load(process)
            process.signal(signal.SIGUSR2)
            deadline = time.monotonic() + 30
            while not self.out.exists() and process.alive and time.monotonic() < deadline:
                time.sleep(0.05)
        stats = pstats.Stats(str(self.out)).stats  # type: ignore[attr-defined]
        calls = Counter({place: value[1] for place, value in stats.items()})
        requests = sample.requests * (1 + 1 / self.options.seconds)  # the warm-up, about
        lines = []
        for (file, line, name), count in calls.most_common(self.options.top):
            own, whole = (1e6 * seconds / requests for seconds in stats[file, line, name][2:4])
            lines.append(f"{count / requests:9.2f} {own:9.2f} µs {whole:9.2f} µs  {name} ({short(file)}:{line})")
        title = "calls per request, time in itself, time with all it calls, both too high"
        return "\n".join([f"{headline(sample)} under cProfile; {title}", *lines])


def read_stacks(text: str, lines: bool) -> tuple[Counter[str], Counter[str], Counter[str], Counter[str], int]:
    """Read py-spy's raw format: the samples by thread, by file and by function itself, by function with all it calls, and their number."""
    threads: Counter[str] = Counter()
    files: Counter[str] = Counter()
    selfs: Counter[str] = Counter()
    inclusive: Counter[str] = Counter()
    for row in text.splitlines():
        stack, _, number = row.rpartition(" ")
        count, frames = int(number), [frame for frame in stack.split(";") if not frame.startswith("process ")]
        threads[re.sub(r"thread \(\S+\):? ?", "", frames[0]) or "main"] += count
        names = [frame if lines else re.sub(r":\d+\)$", ")", frame) for frame in frames[1:]] or ["?"]
        selfs[names[-1]] += count
        files[re.sub(r"(:\d+)?\)$", "", names[-1].rpartition("(")[2])] += count
        for name in set(names):
            inclusive[name] += count
    return threads, files, selfs, inclusive, sum(threads.values())


def shares(counts: Counter[str], scale: float, top: int) -> list[str]:
    """Return a line for each of the largest counts, in microseconds per request."""
    return [f"{count * scale:9.2f} µs  {name}" for name, count in counts.most_common(top)]


def headline(sample: Sample) -> str:
    """Return what the load has measured."""
    return f"{sample.cpu:.1f} µs of CPU per request, {sample.requests} requests{''.join(f', FAULT {fault}' for fault in sample.faults)}"


def short(path: str) -> str:
    """Return the end of a path."""
    return "/".join(Path(path).parts[-3:])


def main() -> None:
    """Read the command line, profile, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("how", nargs="?", choices=["stacks", "machine", "syscalls", "counts"], default="stacks")
    parser.add_argument("--server", choices=list(SERVERS), default="hendrix")
    parser.add_argument("-a", "--app", choices=list(APPS), default="bare")
    parser.add_argument("-c", "--connections", type=int, default=8)
    parser.add_argument("-m", "--mode", choices=[KEEP_ALIVE, CLOSE], default=KEEP_ALIVE, help="close: one connection per request")
    parser.add_argument("-s", "--seconds", type=int, default=10)
    parser.add_argument("-t", "--threads", type=int, default=8)
    parser.add_argument("--top", type=int, default=25, help="lines of each list")
    parser.add_argument("--lines", action="store_true", help="stacks: by line, not by function")
    options = parser.parse_args()
    machine.require("taskset", "wrk", *(["perf"] if options.how in ("machine", "syscalls") else []))
    with tempfile.TemporaryDirectory() as folder:
        findings: str = getattr(Profile(options, Path(folder)), options.how)()
    print(findings)


if __name__ == "__main__":
    main()
