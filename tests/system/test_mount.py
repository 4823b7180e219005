"""--mount in real processes: a Klein application beside the site, on both lanes, with and without workers."""

from __future__ import annotations

import hashlib
import os
import threading

import pytest

from harness import Site

PATIENCE = 60.0
MOUNTS = ("--mount=/api=mounted.klein", "--mount=/page=mounted.Page", "--mount=/push=mounted.Pushing", "--mount=/files=mounted:files")


@pytest.fixture(scope="module", params=["plain", "tls and workers"])
def running(request, tmp_path_factory, certificate):
    files = tmp_path_factory.mktemp("files")
    (files / "data").write_bytes(os.urandom(3_000_000))
    plain = request.param == "plain"
    listen = "tcp:0:interface=127.0.0.1" if plain else f"ssl:0:privateKey={certificate.key}:certKey={certificate.cert}:interface=127.0.0.1"
    workers = "--workers=0" if plain else "--workers=2"
    with Site("hello:app", *MOUNTS, workers, "--threads=2", listen=[listen], env={"FILES": str(files)}) as site:
        site.files = files
        yield site


def test_it_runs_on_the_reactor_thread_of_each_process_that_serves(running):
    seen = set()
    while len(seen) < max(1, len(running.children)):
        pid, reactor_thread = running.get("/api/whoami").text.split()
        assert reactor_thread == "True"
        seen.add(int(pid))
    assert seen == set(running.children or [running.pid])
    assert running.get("/").text == "Hello from /\n"
    assert running.get("/apis").text == "Hello from /apis\n"
    assert running.get("/api/none").status == 404


def test_a_large_content_arrives_whole(running):
    content = os.urandom(5_000_000)
    assert running.request("POST", "/api/digest", content).text == hashlib.sha256(content).hexdigest()
    boundary = {"Content-Type": "multipart/form-data; boundary=x"}
    form = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n'
    assert running.request("POST", "/api/form", form, boundary).text == "[(b'a', [b'b'])]"


def test_more_streams_than_threads_are_open_and_the_site_goes_on(running):
    """A stream is on one of the workers, and so is who says something: to all, if it is asked often enough."""
    connections = [running.connect() for _ in range(5)]
    readers = []
    for connection in connections:
        connection.sendall(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        readers.append(connection.makefile("rb"))
        assert b"begin\n" in readers[-1]
    assert running.get("/").status == 200
    told = 0
    while told < len(connections):
        told += int(running.get("/api/say/end").text)
    for connection, reader in zip(connections, readers):
        assert [line for line in iter(reader.readline, b"0\r\n") if line.strip()] == []
        reader.close()
        connection.close()


def test_a_client_that_leaves_is_heard_of_though_nothing_is_written(running):
    before = running.log.count("and has gone")
    connections = [running.connect() for _ in range(5)]
    for connection in connections:
        connection.sendall(b"GET /api/later HTTP/1.1\r\nHost: localhost\r\n\r\n")
    running._wait_until(lambda: running.log.count("somebody waits") >= before + 5, PATIENCE, "does not ask the resource")
    for connection in connections:
        connection.close()
    running._wait_until(lambda: running.log.count("and has gone") == before + 5, PATIENCE, "does not tell the resource")


def test_files_and_producers(running):
    data = (running.files / "data").read_bytes()
    assert running.get("/files/data").body == data
    part = running.get("/files/data", {"Range": "bytes=5-9"})
    assert (part.status, part.body) == (206, data[5:10])
    head = running.request("HEAD", "/files/data")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, "3000000", b"")
    assert running.get("/push").body == bytes(16 << 20)


def test_many_clients_at_once(running):
    wrong = []

    def ask(number):
        for turn in range(20):
            path = f"/page/{number}/{turn}"
            if running.get(path).text != f"HTTP/1.1 {path} {number} {turn}" or running.get("/").text != "Hello from /\n":
                wrong.append(path)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(
    ("mount", "words"),
    [
        ("/api", "give a path below / and a resource, such as /api=package.module.resource"),
        ("/=mounted.klein", "give a path below / and a resource, such as /api=package.module.resource"),
        ("/api=mounted.number", "that is no resource of twisted.web, and makes none; name one, its class or its factory"),
        ("/api=mounted.kleim", "module mounted has no attribute 'kleim'; did you mean klein?"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_1(mount, words):
    code, text = Site("hello:app", f"--mount={mount}").run()
    assert (code, text.splitlines()[-1]) == (1, f"hendrix: error: --mount={mount}: {words}")
    assert "Traceback" not in text
