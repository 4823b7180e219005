"""The machine and the programs on it: cores, versions, the environment of a server."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).resolve().parent
BIN = Path(sysconfig.get_path("scripts"))  # the servers are those installed beside the Python that runs this
PACKAGES = (
    "hendrix",
    "httptools",
    "twisted",
    "gunicorn",
    "waitress",
    "uWSGI",
    "granian",
    "flask",
    "django",
    "celery",
    "django-tasks-db",
    "uvicorn",
    "websockets",
    "daphne",
    "channels",
    "channels-redis",
)


def require(*programs: str) -> None:
    """Exit with the way out if a program is missing."""
    for program in programs:
        if not shutil.which(program):
            sys.exit(f"bench: error: {program} is not installed; on Debian: apt-get install wrk util-linux linux-perf")


def version(package: str) -> str | None:
    """Return the version of an installed distribution, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def versions() -> dict[str, str]:
    """Return the versions of all that takes part."""
    found = {package: known for package in PACKAGES if (known := version(package))}
    found[platform.python_implementation()] = platform.python_version()
    banner = subprocess.run(["wrk", "-v"], capture_output=True, text=True).stdout
    found["wrk"] = banner.partition(" [")[0].removeprefix("wrk ")
    found["Linux"] = re.match(r"[\d.]+", platform.release() + "0")[0].rstrip(".")  # type: ignore[index]
    git = subprocess.run(["git", "describe", "--always", "--dirty", "--exclude=*"], cwd=HERE, capture_output=True, text=True)
    if not git.returncode:
        found["commit"] = git.stdout.strip()
    return found


def two_cores() -> tuple[int, int]:
    """Return a core for the server and one for the client: no two threads of one physical core, if that can be."""
    cores = sorted(os.sched_getaffinity(0))
    server = cores[0]
    try:
        siblings = Path(f"/sys/devices/system/cpu/cpu{server}/topology/thread_siblings_list").read_text()
    except OSError:
        siblings = str(server)
    shared = {int(number) for number in re.findall(r"\d+", siblings)}
    others = [core for core in cores if core not in shared] or cores[1:]
    if not others:
        print("bench: only one core: the client takes from the server, compare nothing but CPU per request", flush=True)
        return server, server
    return server, others[0]


def cpu_model() -> str:
    """Return the model of the processor and the number of cores."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return f"{found.group(1).strip() if found else platform.machine()}, {os.cpu_count()} cores"


def clean_environ(folder: Path) -> dict[str, str]:
    """Return an environment for the servers that is the same for everybody, with `folder` importable."""
    kept = {name: os.environ[name] for name in ("HOME", "TMPDIR") if name in os.environ}
    path = f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**kept, "PATH": path, "LANG": "C.UTF-8", "PYTHONPATH": str(folder)}
