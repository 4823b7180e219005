"""Start a server on one core, and read what its whole process tree uses from /proc."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

TICK = os.sysconf("SC_CLK_TCK")


class Process:
    """A server and all it starts, pinned to one core if it is given; a context manager that ends them, and only them."""

    def __init__(self, command: list[str], core: int | None, cwd: Path, env: dict[str, str]) -> None:
        self.command = command
        self._output = tempfile.TemporaryFile()  # noqa: SIM115
        self._child = subprocess.Popen(
            command if core is None else ["taskset", "-c", str(core), *command],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.pid = self._child.pid

    def __enter__(self) -> Process:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def alive(self) -> bool:
        """Whether the first process still runs."""
        return self._child.poll() is None

    def signal(self, number: int) -> None:
        """Send a signal to the first process."""
        self._child.send_signal(number)

    def stop(self, grace: float = 5.0) -> None:
        """Ask the server to stop, and after `grace` seconds end what is left of its session."""
        if self.alive:
            self._child.terminate()
            try:
                self._child.wait(grace)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._child.wait()

    def output(self) -> str:
        """Return the last lines the server printed."""
        self._output.seek(0)
        return "\n".join(self._output.read().decode(errors="replace").splitlines()[-8:])

    def tracebacks(self) -> int:
        """Return how many tracebacks the server has printed."""
        self._output.seek(0)
        return self._output.read().count(b"Traceback (most recent call last)")

    def tree(self) -> list[int]:
        """Return the process ids of the server: the first process and all its descendants."""
        children: dict[int, list[int]] = {}
        for pid, fields in all_stats():
            children.setdefault(int(fields[1]), []).append(pid)
        found = [self.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    def times(self) -> tuple[float, float]:
        """Return the CPU seconds that the tree has used, user and system, those of ended and awaited children included."""
        inside = set(self.tree())
        used = [tuple(map(int, fields[11:15])) for pid, fields in all_stats() if pid in inside]
        return sum(times[0] + times[2] for times in used) / TICK, sum(times[1] + times[3] for times in used) / TICK

    def cpu(self) -> float:
        """Return the CPU seconds that the tree has used, user and system together."""
        return sum(self.times())

    def pss(self) -> int:
        """Return the proportional set size of the tree in KiB: each page that n processes share counts as 1/n page in each."""
        total = 0
        for pid in self.tree():
            try:
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        return total

    def descriptors(self) -> int:
        """Return how many file descriptors the tree has open."""
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.tree())


def all_stats() -> Iterator[tuple[int, list[str]]]:
    """Yield (pid, fields of /proc/pid/stat from the third, the state, on) of every process."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                yield int(entry), Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue


def connections_opened() -> int:
    """Return how many TCP connections this machine has opened so far, as a client."""
    names, values = (line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Tcp:"))
    return int(values[names.index("ActiveOpens")])


def machine_cpu() -> tuple[float, float]:
    """Return the seconds that the cores of this machine have been busy, and those the hypervisor has taken away."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq) / TICK, steal / TICK
