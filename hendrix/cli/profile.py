"""``hx profile``: where a process that serves spends its time, as a flame graph. py-spy samples it from outside, and it goes on serving."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from typing import Any

from twisted.python import usage

from hendrix.cli.asking import Asking, ask
from hendrix.client import CommandError
from hendrix.errors import ConfigurationError

FORMATS = {"speedscope": "json", "svg": "svg"}
# What py-spy calls the second.
THEIRS = {"speedscope": "speedscope", "svg": "flamegraph"}
# Seconds beyond the sampling in which py-spy starts, and writes.
PATIENCE = 60.0


class Options(Asking):
    optParameters: list[list[Any]] = [
        ["seconds", None, 10, "How long to look."],
        ["worker", None, None, "The number of the worker; the first if it is left out."],
        ["rate", None, 100, "Samples a second."],
        ["format", None, None, "speedscope (for https://www.speedscope.app) or svg; without it, as the name of the file says."],
        ["output", None, None, "The file to write; without it, one in this directory."],
    ]
    optFlags = [["idle", None, "Count threads that wait, too."]]

    def postOptions(self) -> None:
        for name, high in (("seconds", 3600), ("worker", 512), ("rate", 1000)):
            if self[name] is not None:
                self[name] = _whole(name, self[name], high)
        output = self["output"]
        ending = "svg" if output and output.endswith(".svg") else "speedscope"
        self["format"] = self["format"] or ending
        if self["format"] not in FORMATS:
            raise usage.UsageError(f"--format={self['format']}: give speedscope or svg")


def _whole(name: str, text: Any, high: int) -> int:
    number = int(text) if re.fullmatch(r"\d{1,9}", str(text)) else 0
    if not 1 <= number <= high:
        raise usage.UsageError(f"--{name}={text}: give a whole number from 1 to {high}")
    return number


def run(words: Sequence[str]) -> None:
    """Write the file, and say where it is."""
    options = Options()
    options.parseOptions(words)
    py_spy = found()
    with options.client() as client:
        worker = {} if options["worker"] is None else {"worker": options["worker"]}
        target = ask(client, "profile", tracer=os.getpid(), **worker)
        name, pid = target["process"], target["pid"]
        output = options["output"] or f"{name.replace(' ', '-')}-{time.strftime('%Y%m%d-%H%M%S')}.{FORMATS[options['format']]}"
        print(f"looking at {name}, pid {pid}, for {options['seconds']} s; Ctrl-C ends it earlier", file=sys.stderr, flush=True)
        try:
            record(py_spy, pid, output, options)
        finally:
            let_go(client, worker)
    where = "open it in a browser" if options["format"] == "svg" else "drop it on https://www.speedscope.app"
    print(f"{output}: {where}")


def found() -> str:
    """Where py-spy is."""
    path = shutil.which("py-spy", path=os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath))))
    if path is None:
        raise ConfigurationError("profile: there is no py-spy here, which takes the samples; install hendrix[profile]")
    return path


def record(py_spy: str, pid: int, output: str, options: Options) -> None:
    """Have py-spy look.

    :raises CommandError: it cannot.
    """
    command = [py_spy, "record", f"--pid={pid}", f"--duration={options['seconds']}", f"--rate={options['rate']}"]
    command += [f"--format={THEIRS[options['format']]}", f"--output={output}", "--threads", *(["--idle"] if options["idle"] else [])]
    # A session of its own: Ctrl-C is for us to hear, and to pass on once.
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True, text=True)
    try:
        try:
            _, said = process.communicate(timeout=options["seconds"] + PATIENCE)
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise CommandError(f"profile: py-spy did not come to an end with process {pid}") from None
    finally:
        process.kill()
        process.wait()
    if process.returncode or not os.path.exists(output):
        raise CommandError(explained(said, pid))


def explained(said: str, pid: int) -> str:
    """One line for what py-spy said when it could not."""
    if any(words in said.lower() for words in ("permission denied", "operation not permitted", "eperm")):
        return (
            f"profile: this user may not look into process {pid}: be root, or in a container give it --cap-add=SYS_PTRACE; "
            "a process that has changed its user (--uid) only root may look into"
        )
    if not os.path.exists(f"/proc/{pid}") and os.path.exists("/proc/self"):
        return f"profile: process {pid} has ended"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return "profile: py-spy: " + (lines[-1] if lines else "it failed, and did not say why")


def let_go(client: Any, worker: dict[str, int]) -> None:
    """Nobody may look any more. A process that has ended meanwhile needs no word."""
    try:
        ask(client, "profile", tracer=0, **worker)
    except (CommandError, OSError):
        pass
