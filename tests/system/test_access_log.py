"""The access log of a real process: one line for whatever comes, and what it says."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pressure import eventually
from sockets import Client, endpoints

from certificates import Certificate
from harness import Site
from hendrix.access.formats import FIELDS

IDS = re.compile("[0-9a-f]{16}")


class Logged:
    """A site with a log in JSON."""

    def __init__(self, site: Site, log: Path) -> None:
        self.site, self.log = site, log

    def lines(self, mark: str) -> list[dict[str, Any]]:
        return [line for line in map(json.loads, self.log.read_text("ascii").splitlines()) if mark in line["target"]]

    def line(self, mark: str, count: int = 1) -> dict[str, Any]:
        """The last of so many whose target has the mark."""
        eventually(lambda: len(self.lines(mark)) >= count, f"{mark} is not logged")
        lines = self.lines(mark)
        assert len(lines) == count, lines
        return lines[-1]


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Logged]:
    directory = tmp_path_factory.mktemp("logged")
    listen, log = endpoints(directory, certificate), directory / "access"
    options = ("--access-log-format=json", "--trusted-proxy=127.0.0.1", "--max-body=100k", "--write-timeout=1", "--threads=4")
    with Site("logged:app", f"--access-log={log}", *options, listen=listen) as site:
        yield Logged(site, log)


LANES = pytest.mark.parametrize("lane", range(3), ids=["tcp", "unix", "tls"])


@LANES
def test_a_request(logged: Logged, lane: int) -> None:
    mark = f"/x?plain-{lane}"
    logged.site.request("POST", mark, b"body", {"User-Agent": "tester", "Referer": "http://r/", "Authorization": "Basic bWU6eA=="}, lane)
    line = logged.line(mark)
    assert list(line) == list(FIELDS)
    assert line["event"] == "request" and line["method"] == "POST" and line["target"] == mark and line["status"] == 200
    assert (line["protocol"], line["sent"], line["client"], line["close_code"]) == ("HTTP/1.1", 6, "", 0)
    assert (line["user"], line["referer"], line["user_agent"]) == ("me", "http://r/", "tester")
    assert line["remote_addr"] == ("" if lane == 1 else "127.0.0.1")
    assert line["received"] > 100 and IDS.fullmatch(line["request_id"])
    assert line["tls"].startswith("TLSv1.") if lane == 2 else line["tls"] == ""
    assert line["waited"] >= 0 and line["app"] >= 0 and 0 <= line["first_byte"] <= line["duration"] < 30
    assert line["worker"] == "hendrix" and line["pid"] == logged.site.pid


@LANES
def test_an_answer_in_pieces_has_a_first_and_a_last_byte(logged: Logged, lane: int) -> None:
    mark = f"/pieces?{lane}"
    assert logged.site.get(mark, address=lane).body == b"1234512345"
    line = logged.line(mark)
    assert line["sent"] == 10 and line["first_byte"] < line["duration"] and line["duration"] >= 0.2 and line["app"] >= 0.2


@LANES
def test_a_static_file(logged: Logged, lane: int, tmp_path: Path) -> None:
    file = tmp_path / "static.css"
    file.write_bytes(b"y" * 300_000)
    mark = f"/file?{file}"
    assert len(logged.site.get(mark, address=lane).body) == 300_000
    line = logged.line(mark)
    assert (line["status"], line["sent"]) == (200, 300_000)


@LANES
def test_a_websocket_is_two_lines(logged: Logged, lane: int) -> None:
    mark = f"/echo?{lane}"
    with Client(logged.site, mark, address=lane) as client:
        opened = logged.line(mark)
        assert (opened["event"], opened["status"], opened["close_code"]) == ("open", 101, 0)
        client.send("x" * 1000)
        assert client.receive() == "x" * 1000
        client.close(1000)
        assert client.closed() == 1000
    closed = logged.line(mark, 2)
    assert (closed["event"], closed["status"], closed["close_code"], closed["client"]) == ("close", 101, 1000, "")
    assert closed["request_id"] == opened["request_id"] and closed["tls"] == opened["tls"]
    assert closed["received"] > 1000 and closed["sent"] > 1000 and closed["time"] >= opened["time"]
    assert closed["duration"] > 0 and closed["method"] == "GET" and closed["remote_addr"] == opened["remote_addr"]


def test_a_websocket_whose_client_vanishes(logged: Logged) -> None:
    with Client(logged.site, "/echo?vanishes") as client:
        logged.line("vanishes")
        client.socket.shutdown(socket.SHUT_RDWR)
    line = logged.line("vanishes", 2)
    assert (line["event"], line["close_code"], line["client"]) == ("close", 1006, "left")


@LANES
def test_refused_requests(logged: Logged, lane: int) -> None:
    mark = f"/refused-{lane}"
    assert logged.site.request("POST", mark, b"x" * 200_000, address=lane).status == 413
    line = logged.line(mark)
    assert (line["status"], line["method"], line["request_id"]) == (413, "POST", "")
    before = sum(one["status"] == 400 and not one["method"] for one in logged.lines(""))
    with logged.site.connect(lane) as connection:
        connection.sendall(b"GET / HTTP/9\r\n\x1b[31m\r\n\r\n")
        assert b" 400 " in connection.recv(65536)
    eventually(lambda: sum(one["status"] == 400 and not one["method"] for one in logged.lines("")) == before + 1, "no line")


def test_the_id_is_that_of_the_proxy_and_goes_through_the_error_log(logged: Logged) -> None:
    logged.site.get("/raise?id", {"X-Request-ID": "from-the-proxy-1"})
    line = logged.line("/raise?id")
    assert (line["request_id"], line["status"]) == ("from-the-proxy-1", 500)
    logged.site.get("/x?spoofed", {"X-Request-ID": 'a"} {"b": 1'}, address=1)
    assert IDS.fullmatch(logged.line("/x?spoofed")["request_id"]), "nobody trusts the unix socket"


@pytest.mark.parametrize("lane", [0, 2], ids=["tcp", "tls"])
def test_a_client_that_leaves_and_one_that_does_not_read(logged: Logged, lane: int) -> None:
    for mark, reset in ((f"/large?left-{lane}", True), (f"/large?slow-{lane}", False)):
        with logged.site.connect(lane) as connection:
            connection.sendall(f"GET {mark} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert connection.recv(10)
            if reset:
                connection.close()
            line = logged.line(mark)
        assert line["client"] == ("left" if reset else "slow"), line


def test_a_format_string_and_workers(tmp_path: Path) -> None:
    log, moved = tmp_path / "access", tmp_path / "moved"
    form = '%(worker)s %(m)s "%({user-agent}i)s" "%({x-answer}o)s" %({QUERY_STRING}e)s %(s)s %(H)s'
    with Site("logged:app", f"--access-log={log}", f"--access-log-format={form}", "--workers=1") as site:
        site.get("/?one", {"User-Agent": 'a "b"'})
        eventually(lambda: log.read_text() != "", "nothing is logged")
        assert log.read_text() == 'worker 1 GET "a \\"b\\"" "forty \\"two\\"" one 200 HTTP/1.1\n'
        log.rename(moved)
        os.kill(site.pid, signal.SIGUSR1)
        eventually(log.exists, "it is not opened anew")
        site.get("/?two", {"User-Agent": ""})
        eventually(lambda: log.read_text() != "", "nothing is logged")
        assert log.read_text() == 'worker 1 GET "-" "forty \\"two\\"" two 200 HTTP/1.1\n'
