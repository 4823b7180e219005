"""The end of the process: connections of each kind hear of it, handlers finish, and who comes meanwhile is told at once."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from sockets import CLOSE, Client, Stream, endpoints, eventually, seen, subscribed

from certificates import Certificate
from harness import CLEAN, Site


def test_all_hear_of_it(tmp_path: Path, certificate: Certificate) -> None:
    with Site("realtime:app", "--grace=20", listen=endpoints(tmp_path, certificate)) as site:
        clients = [Client(site, "/act", address=number % 3) for number in range(30)]
        streams = [Stream(site, "/topics", address=number) for number in range(3)]
        for client in clients:
            assert client.receive() == "welcome"
        for stream in streams:
            stream.event()
        place = json.loads(site.get("/topics").body)["id"]
        poll = site.connect()
        poll.sendall(f"GET /topics?since={place} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        with Client(site, "/topics") as last:  # behind the poll, which is open then
            subscribed(last, "news.*", "chat.lobby")
        os.kill(site.pid, signal.SIGTERM)
        for client in clients:
            assert client.next() == (CLOSE, (1012, "the server restarts"))
            client.close(1012)
            assert client.next() == (-1, None)
        for stream in streams:
            event = stream.event()
            assert (event["event"], event["data"]) == ("end", "1012")
            assert 500 <= int(event["retry"]) <= 5000
        assert b'"messages":[]' in b"".join(iter(lambda: poll.recv(65536), b""))
        assert site.wait() in CLEAN
        for each in (*clients, *streams):
            each.socket.close()


def test_a_handler_finishes_and_what_it_sends_arrives(tmp_path: Path) -> None:
    with Site("realtime:app", "--grace=20") as site, Client(site, "/slow") as client:
        client.send("1")
        eventually(lambda: ["slow", "1"] in seen(site))
        os.kill(site.pid, signal.SIGTERM)
        assert client.receive() == "slept 1"
        assert client.next() == (CLOSE, (1012, "the server restarts"))
        client.close(1012)
        assert site.wait() in CLEAN
        assert "handlers that do not end" not in site.log


def test_a_handler_that_does_not_end_is_left_behind(tmp_path: Path) -> None:
    with Site("realtime:app", "--grace=1", "--crosstown-grace=0") as site, Client(site, "/slow") as client:
        client.send("60")
        eventually(lambda: ["slow", "60"] in seen(site))
        os.kill(site.pid, signal.SIGTERM)
        assert client.closed() == 1006
        site.wait()
        assert "1 connections have handlers that do not end" in site.log
