"""Real hendrix processes for the tests: `Site` starts one, waits until it listens, talks to it and sees that it ends.

Each process has a session of its own, writes to a log that is shown when a test fails, and never outlives its test. Every port
is the kernel's choice, so that tests may run side by side.

    with Site("hello:app", "--threads=2") as site:
        assert site.get("/").status == 200
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import dataclasses
import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from doors import Door, command

APPS: Final = Path(__file__).parent / "apps"
"""Where the processes run unless the test says `cwd`: small applications to serve."""

START: Final = 60.0
"""Seconds a process may take to listen: a busy machine must not fail a test, a hang must."""

STOP: Final = 60.0
"""Seconds a process may take to end after a signal: longer than any drain (``--grace`` is 30)."""

CLEAN: Final = (0, -signal.SIGTERM)
"""Exit codes of a clean end: when its reactor has stopped, twistd raises the SIGTERM again that stopped it."""

_POLL: Final = 0.01
_libc: Final = ctypes.CDLL(None, use_errno=True)


class SiteError(AssertionError):
    """The process did not do what it must; the message ends with its log."""


@dataclasses.dataclass(frozen=True)
class Response:
    """A whole response, as `Site.get` and `Site.request` return it."""

    status: int
    reason: str
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        """The body, decoded as UTF-8."""
        return self.body.decode()


class Site:
    """A hendrix process that serves ``app`` from `__enter__` to `__exit__`, where it must end cleanly.

    :param app: the value of ``--wsgi``; None leaves the option out.
    :param arguments: more options of hendrix, as ``--name=value`` (the doors "tac" and "deploy" make keywords of them).
    :param door: how it is launched; "daemon" is twistd in the background, "tac" and "deploy" write the file they need.
    :param listen: its endpoints; empty leaves the option out.
    :param before: options of twistd, twist or hx themselves, as ``--uid=65534``.
    :param cwd: the directory to run in.
    :param env: added to the environment.
    :ivar pid: the process that was launched; for a daemon, the one in the background.
    :ivar addresses: the lines of the port file, one for each bound address.
    :ivar exit_code: None until it has been seen to end.
    """

    def __init__(
        self,
        app: str | None,
        *arguments: str,
        door: Door = "twistd",
        listen: Iterable[str] = ("tcp:0:interface=127.0.0.1",),
        before: Sequence[str] = (),
        cwd: str | Path = APPS,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.door, self.cwd = door, Path(cwd)
        self.env = {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})}
        self.directory = Path(tempfile.mkdtemp(prefix="hendrix-test-"))
        self.directory.chmod(0o777)  # one that has shed its privileges still writes here
        self.port_file, self.pid_file, self.log_file = (self.directory / name for name in ("ports", "pid", "log"))
        wsgi = [] if app is None else [f"--wsgi={app}"]
        options = [*wsgi, *arguments, *(f"--listen={endpoint}" for endpoint in listen), f"--port-file={self.port_file}"]
        self.command = command(door, options, before, self.directory)
        self.addresses: list[str] = []
        self.pid = 0
        self.exit_code: int | None = None
        self._front: subprocess.Popen[bytes] | None = None
        self._groups: set[int] = set()
        self._last_log = ""

    # Its life.

    def __enter__(self) -> Site:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        try:
            if kind is not None:
                print(f"--- {' '.join(self.command)}\n{self.log}---")
            elif self.exit_code is None and self.stop() not in CLEAN:
                raise self._failed(f"ended with {self.exit_code}")
        finally:
            self.kill()

    def start(self) -> None:
        """Launch it, and return when it listens on all its endpoints.

        :raises SiteError: it has ended, or does not listen within `START` seconds.
        """
        self._launch()
        self._wait_until(self._listening, START, "does not listen")
        self.addresses = self.port_file.read_text().splitlines()

    def stop(self, signal_number: int = signal.SIGTERM, timeout: float = STOP) -> int:
        """Send it a signal and `wait`; when it has ended before, only return its exit code."""
        if not self._ended():
            os.kill(self.pid, signal_number)
        return self.wait(timeout)

    def wait(self, timeout: float = STOP) -> int:
        """Wait for its end, and return its exit code (negative: the signal that ended it).

        :raises SiteError: it has not ended within ``timeout`` seconds.
        """
        self._wait_until(self._ended, timeout, "does not end")
        assert self.exit_code is not None
        return self.exit_code

    def run(self, timeout: float = START) -> tuple[int, str]:
        """Launch what is to end by itself (without `with`); return the exit code that the user's shell sees, and all it printed.

        :raises SiteError: the command has not ended within ``timeout`` seconds.
        """
        try:
            front = self._launch()
            self._wait_until(lambda: front.poll() is not None, timeout, "does not end")
            return front.returncode, self.log
        finally:
            self.kill()

    def kill(self) -> None:
        """End whatever is left of it, without manners, and remove its files; does no harm when repeated."""
        self._find_daemon()
        for group in self._groups:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        if self._front is not None and self.directory.exists():
            self._front.wait()
            self._wait_until(self._ended, STOP, "survives SIGKILL")
        self._last_log = self.log
        shutil.rmtree(self.directory, ignore_errors=True)
        atexit.unregister(self.kill)

    # What it says, and what it weighs.

    @property
    def log(self) -> str:
        """All that it has printed or logged so far."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else self._last_log

    def wait_for_log(self, text: str, timeout: float = START) -> None:
        """Return when ``text`` is in its log.

        :raises SiteError: it is not, within ``timeout`` seconds.
        """
        self._wait_until(lambda: text in self.log, timeout, f"does not log {text!r}")

    @property
    def threads(self) -> int:
        """How many threads it has now."""
        return len(os.listdir(f"/proc/{self.pid}/task"))

    @property
    def children(self) -> list[int]:
        """The processes that it has started and that have not ended."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/children")
        found = [int(pid) for task in tasks for pid in _text_of(task).split()]
        return [pid for pid in found if "(zombie)" not in _text_of(Path(f"/proc/{pid}/status"), "(zombie)")]

    @property
    def descriptors(self) -> int:
        """How many files and sockets it has open now."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    @property
    def memory(self) -> int:
        """Its proportional set size now, in bytes."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024

    # Talking to it; ``address`` counts from 0 in the order of `addresses`.

    @property
    def ports(self) -> list[int]:
        """The ports of its TCP and TLS addresses."""
        return [int(line.rpartition(":")[2]) for line in self.addresses if not line.startswith("unix:")]

    @property
    def port(self) -> int:
        """The first of `ports`."""
        return self.ports[0]

    @property
    def url(self) -> str:
        """The first address as ``http://127.0.0.1:8000``, without a slash at the end."""
        kind, _, place = self.addresses[0].partition(":")
        return f"{'http' if kind == 'tcp' else 'https'}://{place}"

    def connect(self, address: int = 0, *, tls: bool | None = None, timeout: float = 30, buffer: int | None = None) -> socket.socket:
        """A socket connected to an address; with TLS, unverified, if ``tls`` says so or, when None, the address does.

        ``buffer`` is its SO_RCVBUF in bytes; it must be set before the window is offered.
        """
        kind, _, place = self.addresses[address].partition(":")
        if kind == "unix":
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(timeout)
            connection.connect(place)
        else:
            host, _, port = place.rpartition(":")
            connection = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
            connection.settimeout(timeout)
            if buffer is not None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            connection.connect((host.strip("[]"), int(port)))
        if tls or (tls is None and kind == "ssl"):
            context = ssl._create_unverified_context()
            return context.wrap_socket(connection, server_hostname="localhost")
        return connection

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        address: int = 0,
        timeout: float = 30,
    ) -> Response:
        """Send a request on a connection of its own and read the whole response; redirects are not followed."""
        with contextlib.closing(http.client.HTTPConnection("localhost")) as connection:
            connection.sock = self.connect(address, timeout=timeout)
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Response(response.status, response.reason, response.headers, response.read())

    def get(self, path: str = "/", headers: Mapping[str, str] | None = None, address: int = 0, timeout: float = 30) -> Response:
        """`request` with GET."""
        return self.request("GET", path, None, headers, address, timeout)

    # Inside.

    def _launch(self) -> subprocess.Popen[bytes]:
        if self.door == "daemon":
            _adopt_orphans()
        atexit.register(self.kill)
        with self.log_file.open("ab") as log:
            self._front = subprocess.Popen(
                self.command,
                cwd=self.cwd,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_the_tests,
            )
        self._groups.add(self._front.pid)
        if self.door != "daemon":
            self.pid = self._front.pid
        return self._front

    def _find_daemon(self) -> None:
        if self.door == "daemon" and not self.pid and self.pid_file.exists():
            self.pid = int(self.pid_file.read_text() or 0)
            if self.pid:
                self._groups.add(os.getpgid(self.pid))

    def _listening(self) -> bool:
        assert self._front is not None
        self._find_daemon()
        if self._front.poll() not in (None, 0):
            raise self._failed(f"ended with {self._front.returncode} before it listened")
        if self._ended() and self.pid:
            raise self._failed(f"ended with {self.exit_code} before it listened")
        return self.port_file.exists() and self.pid != 0

    def _ended(self) -> bool:
        if self.exit_code is None and self._front is not None:
            self.exit_code = self._front.poll() if self.door != "daemon" else self._daemon_exit_code()
        return self.exit_code is not None or not self.pid

    def _daemon_exit_code(self) -> int | None:
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG) if self.pid else (0, 0)
        except ChildProcessError:
            return None  # not ours yet: the process between the front and the daemon has still to end
        return os.waitstatus_to_exitcode(status) if pid else None

    def _wait_until(self, condition: Callable[[], bool], timeout: float, complaint: str) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise self._failed(f"{complaint} within {timeout:g} s")
            time.sleep(_POLL)

    def _failed(self, complaint: str) -> SiteError:
        return SiteError(f"{' '.join(self.command)}\n{complaint}; its log:\n{self.log}")


def _text_of(path: Path, gone: str = "") -> str:
    """What a file of /proc says; threads and processes end while one looks at them."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return gone


def _adopt_orphans() -> None:
    """Make this process the parent of daemons, so that it hears of their end and their exit code (Linux)."""
    set_child_subreaper = 36  # prctl(2)
    if _libc.prctl(set_child_subreaper, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def _die_with_the_tests() -> None:
    """End with the process that runs the tests, however that ends (in the new process; Linux)."""
    set_parent_death_signal = 1  # prctl(2)
    if sys.platform == "linux":
        _libc.prctl(set_parent_death_signal, signal.SIGKILL, 0, 0, 0)
