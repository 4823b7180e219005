"""``--health``: what is answered without the application, whatever state that is in."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from certificates import Certificate
from doors import command
from harness import Response, Site

# Holds each request but /fast until the file "go" is there.
APP = """
import os, time
def app(environ, start_response):
    while environ["PATH_INFO"] != "/fast" and not os.path.exists("go"):
        time.sleep(0.01)
    start_response("200 OK", [("Content-Length", "3")])
    return [b"app"]
"""
HOLD = b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"
ASK = b"GET /health?probe HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "held_app.py").write_text(APP)
    return tmp_path


@contextlib.contextmanager
def serving(here: Path, certificate: Certificate, *options: str) -> Iterator[Site]:
    ssl_endpoint = f"ssl:0:interface=127.0.0.1:privateKey={certificate.key}:certKey={certificate.cert}"
    listen = ["tcp:0:interface=127.0.0.1", ssl_endpoint]
    with Site("held_app:app", "--health=/health", "--control=off", *options, listen=listen, cwd=here) as site:
        try:
            yield site
        finally:
            (here / "go").touch()


def health(site: Site, address: int, code: int) -> Response:
    """Its answer, when that has this status."""
    deadline = time.monotonic() + 60
    while True:
        answer = site.get("/health", address=address)
        if answer.status == code:
            return answer
        assert time.monotonic() < deadline, answer


def received(client: socket.socket | ssl.SSLSocket, ends: bytes) -> bytes:
    data = b""
    while not data.endswith(ends):
        piece = client.recv(65536)
        assert piece, data
        data += piece
    return data


@pytest.mark.parametrize("address", [0, 1])
def test_it_is_answered_in_each_state_of_the_application(address: int, here: Path, certificate: Certificate) -> None:
    with serving(here, certificate, "--threads=2", "--backlog=6") as site, contextlib.ExitStack() as stack:
        assert health(site, address, 200).text == "200 OK: ready\n"
        head = site.request("HEAD", "/health", address=address)
        assert (head.status, head.body, head.headers["Cache-Control"]) == (200, b"", "no-store")
        assert site.get("/fast", address=address).text == "app"
        for _ in range(2):  # both threads are stuck
            stack.enter_context(site.connect(address)).sendall(HOLD)
        for _ in range(100):
            assert site.get("/health", address=address).status == 200
        for _ in range(6):  # and the line is full
            stack.enter_context(site.connect(address)).sendall(HOLD)
        full = health(site, address, 503)
        assert full.text == "503 Service Unavailable: enough requests wait for a thread\n"
        assert full.headers["Retry-After"] == "1"
        (here / "go").touch()
        health(site, address, 200)


@pytest.mark.parametrize("address", [0, 1])
def test_it_keeps_its_place_among_the_requests_of_its_connection(address: int, here: Path, certificate: Certificate) -> None:
    fast = b"GET /fast HTTP/1.1\r\nHost: a\r\n\r\n"
    with serving(here, certificate) as site, site.connect(address) as client:
        client.sendall(ASK * 2 + fast + ASK + fast)
        data = received(client, b"app")
        while data.count(b"\r\n\r\napp") < 2:
            data += received(client, b"app")
        assert [piece[-20:].rpartition(b"\n")[2] or b"ready" for piece in data.split(b"HTTP/1.1 200 OK\r\n")[1:]] == [
            *(b"ready", b"ready", b"app"),
            *(b"ready", b"app"),
        ]
        client.sendall(ASK * 1000)
        data = b""
        while data.count(b"200 OK: ready\n") < 1000:
            data += received(client, b"ready\n")
        client.sendall(ASK.replace(b"1.1\r\n", b"1.1\r\nConnection: close\r\n"))
        assert b"Connection: close" in received(client, b"ready\n")
        assert client.recv(1) == b""


def test_other_methods_and_paths_are_the_application_s(here: Path, certificate: Certificate) -> None:
    (here / "go").touch()
    with serving(here, certificate) as site:
        assert site.request("POST", "/health", b"x").text == "app"
        assert site.get("/health/").text == "app"


STARTING = """
from twisted.application.service import Application, Service
from twisted.internet import reactor
from twisted.internet.task import deferLater
from hendrix import makeService
import os

class Slow(Service):
    async def wait(self):
        while not os.path.exists("up"):
            await deferLater(reactor, 0.01)
    def startService(self):
        from twisted.internet.defer import Deferred
        return Deferred.fromCoroutine(self.wait()).addCallback(lambda _: Service.startService(self))

application = Application("site")
site = makeService({"wsgi": "held_app:app", "health": "/health", "listen": "tcp:0:interface=127.0.0.1", "port_file": "ports", "grace": 60})
site.addService(Slow())
site.setServiceParent(application)
"""


def test_while_the_tree_starts_it_is_503_and_while_it_drains_too(here: Path) -> None:
    (here / "site.tac").write_text(STARTING)
    launch = [*command("twistd", [], [], here)[:-1], "--python=site.tac"]
    process = subprocess.Popen(launch, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    try:
        deadline = time.monotonic() + 60
        while not (here / "ports").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        port = int((here / "ports").read_text().rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), 60) as client:
            client.sendall(ASK)
            assert received(client, b"\n").startswith(b"HTTP/1.1 503 ")
            (here / "up").touch()
            while True:
                client.sendall(ASK)
                if received(client, b"\n").startswith(b"HTTP/1.1 200 "):
                    break
                assert time.monotonic() < deadline
            client.sendall(HOLD + ASK)
            process.terminate()
            while b"draining" not in process.stdout.readline():
                assert time.monotonic() < deadline
            (here / "go").touch()
            data = received(client, b"about to end\n")
            assert data.count(b"HTTP/1.1 200 ") == data.count(b"HTTP/1.1 503 ") == 1
        process.wait(60)
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
