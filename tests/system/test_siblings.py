"""Siblings in real processes: beside a site with and without workers."""

from __future__ import annotations

import json
import socket
import subprocess
import sysconfig

import pytest

from harness import Site
from hendrix.client import Client
from siblings_site import PATIENCE, lines_of, site

HX = f"{sysconfig.get_path('scripts')}/hx"


@pytest.mark.parametrize("workers", [0, 2])
def test_a_sibling_runs_once_and_talks_to_the_application(workers):
    with site(f"--workers={workers}", r"--sibling=echo:endpoint=unix\:HOME/echo", "--sibling=bells.crashing:every=0.3") as running:
        with Client(f"{running.home}/control", PATIENCE) as control, Client(f"{running.home}/control", PATIENCE) as other:
            siblings = lines_of(other.ask("tree"))["siblings"]
            assert [child["name"] for child in siblings["children"]] == ["echo", "crashing"]
            events = control.events("subscribe", topic="heard")
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(PATIENCE)
                connection.connect(f"{running.home}/echo")
                connection.sendall(b"hello\r\n")
                assert connection.recv(100) == b"hello\r\n"
            payload = next(events)["payload"]
            assert payload["payload"] == "hello"
            assert (payload["pid"] != running.pid) == (workers > 0)
        with Client(f"{running.home}/control", PATIENCE) as control:
            lives = control.events("subscribe", topic="crashing")
            assert next(lives)["payload"] == running.pid  # it comes back, always in the parent, and the site serves
            assert running.get("/").status == 200
        assert (json.loads(running.get("/").body) != running.pid) == (workers > 0)


def test_a_bad_spec_is_one_line_and_exit_code_1():
    code, text = Site("bells:app", "--sibling=echo:endpont=tcp").run()
    assert code == 1
    assert text.count("\n") == 1
    assert "--sibling=echo:endpont=tcp: there is no key endpont; did you mean endpoint?; echo knows endpoint, topic" in text


def test_hx_siblings_lists_them():
    shown = subprocess.run([HX, "siblings"], capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
    assert "echo\n  Gives each line back" in shown
    assert "  endpoint=TEXT             where to listen" in shown
