"""Talking to a running hendrix over its control socket, from another process: where the socket is, and a plain blocking client.

    with connect() as hendrix:
        print(hendrix.ask("tree"))

No Twisted here, but to publish through a broker: it is for scripts and for the command line.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from hendrix.errors import ConfigurationError, LocalError, PeerError
from hendrix.wire.lines import LineReader, encode

# Bytes of one read.
READ = 65536
# Seconds that a process has to say who it is, when we look for the one that runs here.
PATIENCE = 2.0


class CommandError(LocalError):
    """The running hendrix refused a command, or broke off. One line."""


class NotRunning(ConfigurationError):
    """Nothing says which hendrix is meant, and none was started here."""


class Client:
    """A connection to the control socket at a path. One thread at a time; a context manager.

    :param timeout: seconds to wait for each answer; None is for ever.
    :raises OSError: nobody listens there.
    """

    def __init__(self, path: str | os.PathLike[str], timeout: float | None = None) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(os.fspath(path))
        except OSError:
            self._socket.close()
            raise
        self._lines = self._received()

    def ask(self, command: str, **arguments: Any) -> Any:
        """The answer to a command.

        :raises CommandError: it was refused, or the process ended before it answered.
        :raises TimeoutError: there was no answer in time.
        """
        return next(self._answers(command, arguments))

    def events(self, command: str, **arguments: Any) -> Iterator[Any]:
        """What a command that goes on tells, from now on, after its answer has come; ends with the process. Raises as `ask` does."""
        answers = self._answers(command, arguments)
        next(answers)
        return answers

    def wait(self) -> None:
        """Return when the process has closed the connection."""
        for _ in self._lines:
            pass

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _answers(self, command: str, arguments: dict[str, Any]) -> Iterator[Any]:
        """The result, then the events."""
        try:
            self._socket.sendall(encode({"command": command, **arguments}))
        except ConnectionError:
            pass  # it may have said why
        answered = False
        for message in self._lines:
            if "error" in message:
                raise CommandError(str(message["error"]))
            if "result" in message:
                answered = True
            yield message.get("result", message.get("event"))
        if not answered:
            raise CommandError(f"{command}: the process ended before it answered")

    def _received(self) -> Iterator[dict[str, Any]]:
        reader = LineReader(1 << 30)
        while True:
            try:
                data = self._socket.recv(READ)
            except ConnectionError:
                return
            if not data:
                return
            yield from reader.feed(data)


def connect(control: str | None = None, pidfile: str | None = None, timeout: float | None = None) -> Client:
    """A client of the hendrix that is meant: the one of that control socket or pid file, or the one that was started here.

    :raises ConfigurationError: there is none, or there are several; with one line that says what to give.
    """
    if control is not None:
        return _client(control, f"--control={control}", timeout)
    if pidfile is not None:
        return _client(_of_pidfile(pidfile), f"--pidfile={pidfile}", timeout)
    here, elsewhere = _running()
    if len(here) == 1:
        return _client(here[0], here[0], timeout)
    if here:
        raise ConfigurationError(f"several run in {os.getcwd()}: choose with --control={' or --control='.join(here)}")
    others = "; ".join(f"--control={path} runs in {directory}" for path, directory in elsewhere)
    raise NotRunning(f"no hendrix runs in {os.getcwd()}" + (f", but {others}" if others else ""))


def publish(
    topic: str,
    payload: Any,
    *,
    control: str | None = None,
    url: str | None = None,
    token: str = "",
    broker: str | None = None,
    history: int = 0,
    age: float = 3600.0,
    timeout: float = 10.0,
) -> None:
    """Send a payload to all subscribers of a topic of a running hendrix. Returns when it is on its way.

    :param control: its control socket; the one that was started in this directory if there is neither this nor a url.
    :param url: its address, as ``https://example.org``: over HTTP, with a token, from whatever machine.
    :param token: what ``hx token`` has made.
    :param broker: the URL of the broker of a cluster, as ``redis://broker.internal``: with no node in between. It needs the broker's extra.
    :param history, age: through a broker, what the rule of the topic says at the nodes; it is not kept otherwise.
    :param timeout: seconds.
    :raises CommandError: it was refused, or the broker does not take it; with the reason.
    :raises ConfigurationError: there is none, or there are several; with one line that says what to give.
    :raises OSError: the address does not answer.
    """
    if broker is not None:
        _publish_through(broker, topic, payload, history, age, timeout)
        return
    if url is None:
        with connect(control, timeout=timeout) as client:
            client.ask("publish", topic=topic, payload=payload)
        return
    if not url.startswith(("http://", "https://")):
        raise ConfigurationError(f"{url}: give the address of a site, as in https://example.org")
    query = urlencode({"topic": topic})
    request = Request(f"{url.rstrip('/')}/.hendrix/publish?{query}", json.dumps(payload).encode(), method="POST")
    request.add_header("Authorization", f"Bearer {token}")
    request.add_header("Content-Type", "application/json")
    try:
        urlopen(request, timeout=timeout).close()
    except HTTPError as error:
        raise CommandError(_refusal(error)) from None


def send_to(id: str, data: Any, *, control: str | None = None, timeout: float = 10.0) -> None:
    """Send something to the WebSocket or stream with this id, as ``ws.send`` does in a handler. If it is gone, nothing happens.

    :param data: text is sent as text, bytes as bytes, and anything else as JSON.
    :param control, timeout: as for `publish`, with its errors.
    """
    content = {"bytes": b64encode(data).decode()} if isinstance(data, bytes) else {"data": data}
    with connect(control, timeout=timeout) as client:
        client.ask("send_to", connection=id, **content)


def close_for(
    user: Any = None,
    *,
    id: str | None = None,
    code: int = 1008,
    reason: str = "logged out",
    control: str | None = None,
    timeout: float = 10.0,
) -> None:
    """Close all connections of a user, or the one with this id.

    :param user: its primary key, or an object that has one as ``pk``.
    :param code: of the close, and the reason that the client hears.
    :param control, timeout: as for `publish`, with its errors.
    """
    key = getattr(user, "pk", user)
    meant = {name: value for name, value in (("user", None if key is None else str(key)), ("connection", id)) if value is not None}
    with connect(control, timeout=timeout) as client:
        client.ask("close_for", **meant, code=code, reason=reason)


def _publish_through(broker: str, topic: str, payload: Any, history: int, age: float, timeout: float) -> None:
    """By its name: what stands above this module, and Twisted with it, is only for whoever has a broker."""
    outsider = import_module("hendrix.hey_joe.brokers.outsider")
    try:
        outsider.publish(broker, topic, payload, history=history, age=age, timeout=timeout)
    except outsider.EngineError as error:
        raise CommandError(str(error)) from None


def _refusal(error: HTTPError) -> str:
    """Its own words, if it is a hendrix."""
    with error:
        try:
            return str(json.loads(error.read(READ))["error"])
        except (ValueError, KeyError, TypeError):
            return f"{error.url}: {error.code} {error.reason}; is this the address of a hendrix?"


# Where the sockets are.


def beside(pidfile: str) -> str:
    """The control socket of a process with that pid file: ``/run/site.pid`` has ``/run/site.control``."""
    return pidfile.removesuffix(".pid") + ".control"


def runtime_directory(user: int) -> str:
    """Where the control sockets of processes without a pid file are: one directory for each user."""
    own = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(own) and os.path.isdir(own):
        return os.path.join(own, "hendrix")
    return os.path.join(tempfile.gettempdir(), f"hendrix-{user}")


def _of_pidfile(pidfile: str) -> str:
    path = beside(os.path.abspath(pidfile))
    if os.path.exists(path):
        return path
    try:
        pid = int(Path(pidfile).read_text())
    except OSError as error:
        raise ConfigurationError(f"--pidfile={pidfile}: {error.strerror}; no hendrix runs with this pid file") from None
    except ValueError:
        raise ConfigurationError(f"--pidfile={pidfile}: there is no process id in it") from None
    return os.path.join(runtime_directory(os.getuid()), f"{pid}.control")


def _client(path: str, blame: str, timeout: float | None) -> Client:
    try:
        return Client(path, timeout)
    except PermissionError:
        raise ConfigurationError(f"{blame}: only the user of that process and root may talk to it") from None
    except OSError:
        raise ConfigurationError(f"{blame}: no hendrix listens at {path}") from None


def _running() -> tuple[list[str], list[tuple[str, str]]]:
    """The control sockets of the processes that were started here, and those of others with their directories."""
    here, elsewhere = [], []
    places = [Path.cwd(), Path(runtime_directory(os.getuid()))]
    for path in [str(path) for place in places for path in sorted(place.glob("*.control"))]:
        try:
            with Client(path, PATIENCE) as client:
                directory = client.ask("about")["directory"]
        except (OSError, CommandError, PeerError):
            continue
        if directory == os.getcwd() or os.path.dirname(path) == os.getcwd():
            here.append(path)
        else:
            elsewhere.append((path, directory))
    return here, elsewhere
