"""A running hendrix and those who talk to it: over its control socket, with real processes on both sides."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
import sysconfig
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import CLEAN, Site

HX = f"{sysconfig.get_path('scripts')}/hx"


@pytest.fixture
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for control sockets, its name short enough for one."""
    return tmp_path_factory.mktemp("r")


def hx(runtime: Path, *words: str, cwd: Path | str = "/", code: int = 0) -> str:
    """What the command prints; on standard error if it fails."""
    env = {**os.environ, "XDG_RUNTIME_DIR": str(runtime)}
    done = subprocess.run([HX, *words], cwd=cwd, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, (words, done)
    assert "Traceback" not in done.stderr
    return done.stderr if code else done.stdout


def started(runtime: Path, **keywords: object) -> Site:
    return Site("hello:app", "--threads=2", env={"XDG_RUNTIME_DIR": str(runtime)}, **keywords)  # type: ignore[arg-type]


def control_of(site: Site, runtime: Path) -> Path:
    if site.door == "daemon":
        return site.directory / "pid.control"
    return runtime / "hendrix" / f"{site.pid}.control"


@contextlib.contextmanager
def talking(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(str(path))
        yield client


def lines(client: socket.socket, count: int) -> list[dict]:
    data = b""
    while data.count(b"\n") < count:
        piece = client.recv(65536)
        assert piece, data
        data += piece
    return [json.loads(line) for line in data.splitlines()]


@pytest.mark.parametrize("door", ["twistd", "daemon", "twist", "hx", "tac", "deploy"])
def test_each_door_opens_a_socket_for_its_user_and_ends_by_it(door, runtime):
    with started(runtime, door=door) as site:
        path = control_of(site, runtime)
        assert os.stat(path).st_mode & 0o777 == 0o600
        given = [f"--pidfile={site.pid_file}"] if door == "daemon" else []
        cwd = "/" if given else site.cwd
        tree = hx(runtime, "tree", *given, cwd=cwd).splitlines()
        assert tree[:3] == [
            "hendrix                    one_for_one",
            f"├─ control                 {path}",
            f"├─ sockets                 {site.addresses[0]}",
        ]
        assert tree[-1] == f"└─ web                     hello:app on {site.addresses[0]}"
        assert hx(runtime, "stop", *given, cwd=cwd).splitlines()[-1] == "stopped"
        assert site.wait() in (0, *CLEAN)
        assert not path.exists()


def test_the_lines_are_json_and_mistakes_cost_nobody_anything(runtime):
    with started(runtime) as site, talking(control_of(site, runtime)) as client, talking(control_of(site, runtime)) as other:
        client.sendall(b'{"command": "about", "id": 1}\nnonsense\n\xff\n\n{"command": "stap"}\n{"com')
        about, *errors = lines(client, 4)
        assert about["id"] == 1
        assert (about["result"]["pid"], about["result"]["directory"]) == (site.pid, str(site.cwd))
        assert [error["error"] for error in errors] == [
            "the line is not a JSON object",
            "the line is not a JSON object",
            "stap: there is no such command; did you mean stop?",
        ]
        client.sendall(b'mand": "stats"}\n')
        (stats,) = lines(client, 1)
        assert stats["result"]["nodes"]["hendrix/crew"] == {"threads": 2, "busy": 0, "backlog": 0, "oldest": 0.0, "in_application": 0}
        assert stats["result"]["sums"]["control"] == {"clients": 2}
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(b"x" * (2 << 20))
        with contextlib.suppress(ConnectionResetError):
            assert b"longer than" in client.recv(1000)
        other.sendall(b'{"command": "help"}\n')
        other.shutdown(socket.SHUT_WR)
        assert set(lines(other, 1)[0]["result"]) >= {"about", "help", "stats", "stop", "threads", "tree", "workers"}
        assert other.recv(1) == b"", "who has asked all is let go"
        assert site.get("/").status == 200


def test_clients_are_bounded_in_number_and_in_memory(runtime):
    with started(runtime) as site, contextlib.ExitStack() as stack:
        path = control_of(site, runtime)
        before = site.memory
        clients = [stack.enter_context(talking(path)) for _ in range(64)]
        for client in clients:  # each asks for ever, and none reads
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    client.send(b'{"command": "tree"}\n' * 1000)
        with talking(path) as late:
            assert lines(late, 1) == [{"error": "64 clients are connected already"}]
        assert site.get("/").status == 200
        assert site.memory - before < 64 << 20
        clients[0].close()
        deadline = time.monotonic() + 60
        while True:
            with talking(path) as late:
                late.sendall(b'{"command": "about"}\n')
                if "result" in lines(late, 1)[0]:
                    break
            assert time.monotonic() < deadline


def test_threads_shows_the_line_that_a_slow_view_is_in(runtime, tmp_path):
    (tmp_path / "slow_app.py").write_text(
        "import time\n"
        "def slow(environ):\n"
        "    while environ['PATH_INFO'] == '/slow':\n"
        "        time.sleep(0.01)  # here\n"
        "def app(environ, start_response):\n"
        "    slow(environ)\n"
        "    start_response('200 OK', [])\n"
        "    return [b'']\n"
    )
    options = ["--threads=2", "--grace=0"]
    with Site("slow_app:app", *options, cwd=tmp_path, env={"XDG_RUNTIME_DIR": str(runtime)}) as site, site.connect() as client:
        client.sendall(b"GET /slow?now HTTP/1.1\r\nHost: a\r\n\r\n")
        deadline = time.monotonic() + 60
        while "1 of 2 threads busy" not in (said := hx(runtime, "threads", "--stacks", cwd=tmp_path)):
            assert time.monotonic() < deadline, said
        head, busy, *stack = said.splitlines()
        assert head == f"hendrix  pid {site.pid}: 1 of 2 threads busy"
        assert busy.endswith(" s  GET /slow?now") and busy.split()[0].startswith("crew-")
        assert stack[0].strip() == "slow_app.py:4 slow: time.sleep(0.01)  # here"
        assert [line.strip() for line in stack[1:]] == ["slow_app.py:6 app: slow(environ)", "slow_app.py:4 slow: time.sleep(0.01)  # here"]
        (process,) = json.loads(hx(runtime, "threads", "--json", cwd=tmp_path))
        assert process["process"] == "hendrix" and len(process["threads"]) == 2


def test_stop_drains_and_a_second_one_is_told(runtime, tmp_path):
    (tmp_path / "held_app.py").write_text(
        "import os, time\n"
        "def app(environ, start_response):\n"
        "    while not os.path.exists('go'):\n"
        "        time.sleep(0.01)\n"
        "    start_response('200 OK', [])\n"
        "    return [b'answered']\n"
    )
    with Site("held_app:app", cwd=tmp_path, env={"XDG_RUNTIME_DIR": str(runtime)}) as site, site.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        said: list[str] = []
        stopping = threading.Thread(target=lambda: said.append(hx(runtime, "stop", cwd=tmp_path)))
        stopping.start()
        site.wait_for_log("draining")
        path = control_of(site, runtime)
        assert "it is stopping already" in hx(runtime, "stop", f"--control={path}", code=1)
        assert "└─ web" in hx(runtime, "tree", f"--control={path}")
        assert stopping.is_alive()
        (tmp_path / "go").touch()
        assert client.recv(65536).endswith(b"answered")
        stopping.join(60)
        assert said[0].splitlines() == [f"stopping process {site.pid}: requests in flight are answered first", "stopped"]
        assert site.wait() in (0, *CLEAN)


def test_the_live_tree_follows_until_the_process_ends(runtime):
    with started(runtime) as site:
        env = {**os.environ, "XDG_RUNTIME_DIR": str(runtime)}
        live = subprocess.Popen(
            [HX, "tree", "--live", "--every=0.05"], cwd=site.cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert live.stdout is not None and live.stderr is not None
        shown = 0
        while shown < 3:
            shown += live.stdout.readline().startswith("└─ web")
        site.stop()
        assert live.wait(60) == 1
        assert live.stderr.read() == "hendrix: error: it has ended\n"
        live.stdout.close()
        live.stderr.close()


def test_on_a_terminal_the_live_tree_stays_in_place_and_the_last_one_stays(runtime):
    with started(runtime) as site:
        terminal, inside = pty.openpty()
        env = {**os.environ, "XDG_RUNTIME_DIR": str(runtime), "COLUMNS": "40", "LINES": "4"}
        live = subprocess.Popen(
            [HX, "tree", "--live", "--every=0.05"], cwd=site.cwd, env=env, stdout=inside, stderr=inside, start_new_session=True
        )
        os.close(inside)
        shown = b""
        while shown.count(b"\x1b[H") < 3:
            shown += os.read(terminal, 65536)
        live.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # the end of a terminal
            while data := os.read(terminal, 65536):
                shown += data
        os.close(terminal)
        assert live.wait(60) == 0
        assert shown.startswith(b"\x1b[?1049h\x1b[?25l\x1b[H")
        page = shown.decode().split("\x1b[H")[1].splitlines()
        assert len(page) <= 4 and all(len(line.replace("\x1b[K", "")) <= 40 for line in page)
        last = shown.decode().rpartition("\x1b[?25h\x1b[?1049l")[2].splitlines()
        assert last[-1] == f"└─ web                     hello:app on {site.addresses[0]}"


def test_which_one_is_meant(runtime, tmp_path):
    assert hx(runtime, "tree", cwd=tmp_path, code=1) == f"hendrix: error: no hendrix runs in {tmp_path}\n"
    with started(runtime) as first:
        path = control_of(first, runtime)
        elsewhere = f"hendrix: error: no hendrix runs in {tmp_path}, but --control={path} runs in {first.cwd}\n"
        assert hx(runtime, "tree", cwd=tmp_path, code=1) == elsewhere
        assert hx(runtime, "tree", f"--control={path}", cwd=tmp_path).startswith("hendrix ")
        with started(runtime, door="hx") as second:
            said = hx(runtime, "tree", cwd=first.cwd, code=1)
            assert said.startswith(f"hendrix: error: several run in {first.cwd}: choose with --control=")
            assert str(path) in said and str(control_of(second, runtime)) in said
        (tmp_path / "twistd.pid").write_text(f"{first.pid}\n")
        assert hx(runtime, "tree", "--pidfile=twistd.pid", cwd=tmp_path).startswith("hendrix ")


def test_a_socket_in_use_is_an_error_and_one_left_behind_is_not(runtime):
    path = runtime / "c"
    killed = Site("hello:app", f"--control={path}")
    try:
        killed.start()
        code, said = Site("hello:app", f"--control={path}").run()
        assert code == 1
        assert f"hendrix: error: --control={path}: another hendrix listens there; stop it, or give another path" in said.splitlines()
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
    finally:
        killed.kill()
    assert path.exists()
    assert "no hendrix listens" in hx(runtime, "tree", f"--control={path}", code=1)
    with Site("hello:app", f"--control={path}"):
        assert "└─ web" in hx(runtime, "tree", f"--control={path}")
    assert not path.exists()


def test_it_can_be_turned_off_and_a_place_that_cannot_be_is_no_reason_not_to_serve(runtime, tmp_path):
    with Site("hello:app", "--control=off", env={"XDG_RUNTIME_DIR": str(runtime)}) as site:
        assert not list(runtime.iterdir())
    (runtime / "hendrix").write_text("in the way")
    with started(runtime) as site:
        site.wait_for_log("there is no control socket: ")
        assert site.get("/").status == 200
    code, said = Site("hello:app", "--control=/no/such/directory/c").run()
    assert code == 1
    assert said.splitlines()[-1].startswith("hendrix: error: --control=/no/such/directory/c: No such file or directory; give a path")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_with_uid_the_socket_is_that_user_s(runtime):
    os.chmod(runtime, 0o755)
    with started(runtime, door="daemon", before=["--uid=65534"]) as site:
        path = control_of(site, runtime)
        assert os.stat(path).st_uid == 65534
        os.seteuid(65534)
        try:
            with talking(path) as client:
                client.sendall(b'{"command": "about"}\n')
                assert lines(client, 1)[0]["result"]["pid"] == site.pid
        finally:
            os.seteuid(0)
        assert "control" in hx(runtime, "tree", f"--control={path}"), "root may, too"
