"""--static in real processes, on both lanes: by sendfile and read, with workers and without, over connections that go on."""

from __future__ import annotations

import hashlib
import http.client
import os
import signal
import threading
import time

import pytest

from harness import Site

PATIENCE = 60.0


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    root = tmp_path_factory.mktemp("static")
    (root / "large").write_bytes(os.urandom(20_000_000))
    (root / "small.css").write_text("body {}")
    (root / "out").symlink_to("/etc/hostname")
    return root


@pytest.fixture(scope="module", params=["plain", "tls and workers"])
def running(request, files, certificate, tmp_path_factory):
    plain = request.param == "plain"
    listen = "tcp:0:interface=127.0.0.1" if plain else f"ssl:0:privateKey={certificate.key}:certKey={certificate.cert}:interface=127.0.0.1"
    workers = "--workers=0" if plain else "--workers=2"
    log = tmp_path_factory.mktemp("log") / "access"
    with Site("hello:app", f"--static=/files={files}", workers, "--threads=2", f"--access-log={log}", listen=[listen]) as site:
        site.access_log = log
        yield site


def test_files_arrive_whole(running, files):
    data = (files / "large").read_bytes()
    answer = running.get("/files/large")
    assert answer.headers["Content-Length"] == "20000000"
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(data).digest()
    part = running.get("/files/large", {"Range": "bytes=1000000-5999999"})
    assert (part.status, part.headers["Content-Range"]) == (206, "bytes 1000000-5999999/20000000")
    assert part.body == data[1_000_000:6_000_000]
    assert running.get("/files/small.css").text == "body {}"
    assert running.get("/").text == "Hello from /\n"
    assert running.get("/filesystem").text == "Hello from /filesystem\n"


def test_one_connection_is_enough(running):
    connection = http.client.HTTPConnection("localhost")
    connection.sock = running.connect()
    etag = ""
    for method, path, fields, status, body in [
        ("HEAD", "/files/large", {}, 200, b""),
        ("GET", "/files/small.css", {}, 200, b"body {}"),
        ("GET", "/files/small.css", {"If-None-Match": "ETAG"}, 304, b""),
        ("GET", "/files/small.css", {"Range": "bytes=0-3", "If-Range": "ETAG"}, 206, b"body"),
        ("GET", "/files/small.css", {"Range": "bytes=99-"}, 416, b"416 Range Not Satisfiable\n"),
        ("GET", "/files/none", {}, 404, b"404 Not Found\n"),
        ("HEAD", "/files/none", {}, 404, b""),
        ("GET", "/files/out", {}, 404, b"404 Not Found\n"),
        ("GET", "/files/%2e%2e/%2e%2e/etc/hostname", {}, 404, b"404 Not Found\n"),
        ("GET", "/files/..%2f..%2fetc%2fhostname", {}, 404, b"404 Not Found\n"),
        ("POST", "/files/small.css", {}, 405, b"405 Method Not Allowed\n"),
        ("GET", "/", {}, 200, b"Hello from /\n"),
    ]:
        connection.request(method, path, headers={name: value.replace("ETAG", etag) for name, value in fields.items()})
        response = connection.getresponse()
        assert (response.status, response.read()) == (status, body), path
        if path == "/files/small.css":
            etag = response.headers["ETag"] or etag
    connection.close()


def test_the_access_log_has_them(running):
    running.get("/files/small.css?logged")
    deadline = time.monotonic() + PATIENCE
    while '"GET /files/small.css?logged HTTP/1.1" 200 7 ' not in (text := running.access_log.read_text()):
        assert time.monotonic() < deadline, text
        time.sleep(0.05)


def test_slow_readers_hold_no_thread(running, files):
    connections = [running.connect(buffer=4096) for _ in range(6)]
    for connection in connections:
        connection.sendall(b"GET /files/large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    if running.addresses[0].startswith("tcp"):  # on the reactor lane a thread is ahead of its client, and waits for it
        assert running.get("/").text == "Hello from /\n"
    counts = []

    def read(connection):
        count = 0
        while piece := connection.recv(1 << 20):
            count += len(piece)
        counts.append(count)

    threads = [threading.Thread(target=read, args=(connection,)) for connection in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert all(count > 20_000_000 for count in counts)
    assert len(counts) == len(connections)
    for connection in connections:
        connection.close()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_reload_looks_for_the_directory_anew(tmp_path, workers):
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "version").write_text(name)
    (tmp_path / "current").symlink_to("old")
    with Site("hello:app", f"--static=/static={tmp_path}/current", f"--workers={workers}") as site:
        assert site.get("/static/version").text == "old"
        (tmp_path / "next").symlink_to("new")
        (tmp_path / "next").rename(tmp_path / "current")
        assert site.get("/static/version").text == "old"
        os.kill(site.pid, signal.SIGHUP)
        site.wait_for_log("reloaded: 1 workers" if workers else "read anew")
        deadline = time.monotonic() + PATIENCE
        while site.get("/static/version").text != "new":  # one more may be answered by the worker that leaves
            assert time.monotonic() < deadline


@pytest.mark.parametrize(
    ("static", "words"),
    [
        ("/static", "give a path below / and a directory, such as /static=static"),
        ("/=apps", "give a path below / and a directory, such as /static=static"),
        ("static=.", "give a path below / and a directory, such as /static=static"),
        ("/static=nowhere", "there is no such directory; give one that exists"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_1(static, words):
    code, text = Site("hello:app", f"--static={static}").run()
    assert (code, text) == (1, f"hendrix: error: --static={static}: {words}\n")
