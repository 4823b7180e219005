"""--serve in real processes: a server on an endpoint of its own, beside a site with and without workers."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl

import pytest

from harness import CLEAN, Site
from hendrix.client import Client
from siblings_site import PATIENCE, lines_of, site


def port_of(running, index=0):
    with Client(f"{running.home}/control", PATIENCE) as control:
        servers = lines_of(control.ask("tree"))["servers"]["children"]
    return int(re.search(r":(\d+)$", servers[index]["line"])[1])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_server_runs_once_and_its_clients_are_told_to_go(workers, certificate):
    secure = f"ssl:0:interface=127.0.0.1:privateKey={certificate.key}:certKey={certificate.cert}"
    arguments = ("--serve=tcp:0:interface=127.0.0.1=serving.lines", f"--serve={secure}=serving.lines")
    with site(f"--workers={workers}", *arguments, app="hello:app") as running:
        connections, readers = [], []
        for index in (0, 1):
            connection = socket.create_connection(("127.0.0.1", port_of(running, index)), PATIENCE)
            if index:
                connection = ssl._create_unverified_context().wrap_socket(connection)
            reader = connection.makefile("rb")
            connections.append(connection)
            readers.append(reader)
            assert reader.readline().split()[0] == str(running.pid).encode()
            connection.sendall(b"hello\r\n")
            assert reader.readline() == b"olleh\r\n"
        assert running.get("/").status == 200
        os.kill(running.pid, signal.SIGTERM)
        for connection, reader in zip(connections, readers):
            assert reader.readline() == b""
            reader.close()
            connection.close()
        assert running.wait() in CLEAN
        assert running.log.count("a client has gone") == 2
        assert "cut after" not in running.log


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can shed privileges")
def test_it_is_bound_before_privileges_are_shed_and_imported_after():
    """A port below 1024 is root's: one that nobody has."""
    for port in range(700, 800):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                break
    running = Site("hello:app", f"--serve=tcp:{port}:interface=127.0.0.1=serving.lines", "--control=off", before=["--uid=65534"])
    with running, socket.create_connection(("127.0.0.1", port), PATIENCE) as connection, connection.makefile("rb") as reader:
        assert reader.readline().split()[1] == b"65534"
        assert "imported as 65534" in running.log


@pytest.mark.parametrize(
    ("serve", "words"),
    [
        ("tcp:2222", "give an endpoint, = and the name of a factory, such as tcp:2222=package.module.factory"),
        ("tpc:2222=serving.lines", "there is no endpoint type 'tpc'; write tcp:PORT, "),
        ("tcp:0=serving.liens", "module serving has no attribute 'liens'; did you mean lines?"),
        ("tcp:0:interface=192.0.2.1=serving.lines", "Cannot assign requested address; choose another address"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_1(serve, words):
    code, text = Site("hello:app", f"--serve={serve}").run()
    assert code == 1
    assert text.splitlines()[-1].startswith(f"hendrix: error: --serve={serve}: {words}")
    assert "Traceback" not in text
