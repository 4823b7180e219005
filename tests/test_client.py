"""`hendrix.client`: a blocking client of the control socket. The other side is a thread that says what it is told to."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hendrix.client import Client, CommandError, beside, connect, runtime_directory
from hendrix.errors import ConfigurationError


class Server:
    """Says these lines to the first client, then hears it out, or closes at once."""

    def __init__(self, path: Path) -> None:
        self.path, self.heard = path, b""
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self._thread: threading.Thread | None = None

    def says(self, *lines: bytes, hears: int = 1) -> None:
        def talk() -> None:
            client, _ = self._listening.accept()
            with client:
                client.settimeout(60)
                for line in lines:
                    if hears:
                        while self.heard.count(b"\n") < hears and (data := client.recv(4096)):
                            self.heard += data
                    with contextlib.suppress(OSError):  # it did not wait
                        client.sendall(line)

        self._thread = threading.Thread(target=talk, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listening.close()
        if self._thread is not None:
            self._thread.join(60)


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("c") / "site.control")
    yield server
    server.close()


def test_it_asks_and_gives_the_answer(server: Server) -> None:
    server.says(b'{"result": [1, "\\u00e9"]}\n')
    with Client(server.path, 60) as client:
        assert client.ask("workers", to="+1") == [1, "é"]
    assert json.loads(server.heard) == {"command": "workers", "to": "+1"}


def test_what_goes_on_is_heard_until_it_ends(server: Server) -> None:
    server.says(b'{"result": "listening"}\n{"event": 1}\n{"event": {"n": 2}}\n')
    with Client(server.path, 60) as client:
        assert list(client.events("listen")) == [1, {"n": 2}]


@pytest.mark.parametrize(
    ("line", "words"),
    [(b'{"error": "no such command"}\n', "^no such command$"), (b"", "^tree: the process ended before it answered$")],
)
def test_a_refusal_or_an_end_is_an_error(server: Server, line: bytes, words: str) -> None:
    server.says(line)
    with Client(server.path, 60) as client, pytest.raises(CommandError, match=words):
        client.ask("tree")


def test_one_who_does_not_answer_in_time(server: Server) -> None:
    server.says(b"", hears=2)
    with Client(server.path, 0.05) as client, pytest.raises(TimeoutError):
        client.ask("tree")


def test_where_it_is(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert beside("/run/site.pid") == "/run/site.control"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert runtime_directory(7) == f"{tmp_path}/hendrix"
    monkeypatch.setenv("XDG_RUNTIME_DIR", f"{tmp_path}/none")
    assert runtime_directory(7).endswith("/hendrix-7")
    server.says(b'{"result": 1}\n')
    with connect(pidfile=str(server.path.with_suffix(".pid")), timeout=60) as client:
        assert client.ask("about") == 1


def test_what_is_no_pid_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "twistd.pid").write_text("x")
    with pytest.raises(ConfigurationError, match="there is no process id in it"):
        connect(pidfile=str(tmp_path / "twistd.pid"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_another_user_is_told_that_it_is_not_his(server: Server) -> None:
    os.chmod(server.path.parent, 0o700)
    os.seteuid(65534)
    try:
        with pytest.raises(ConfigurationError, match="only the user of that process and root may talk to it"):
            connect(control=str(server.path))
    finally:
        os.seteuid(0)
