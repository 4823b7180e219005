"""The clients of the page on siblings, in Python and in Node, against a real site."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hendrix.client import Client
from siblings_site import PATIENCE, site

PAGE = (Path(__file__).parents[2] / "docs/siblings.md").read_text(encoding="utf-8")
TOKEN = "the wind cries Mary"


@pytest.mark.parametrize(("name", "program"), [("listen.py", sys.executable), ("listen.js", "node")])
def test_a_client_in_twenty_lines(tmp_path, name, program):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is missing: the client for it is not tested")
    code = re.search(rf"```\w+\n(?:#|//) {re.escape(name)}\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / name).write_text(code[1])
    (tmp_path / "token").write_text(TOKEN + "\n")
    with socket.socket() as probe:  # the site takes its place at once
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    sibling = rf"--sibling=pubsub:endpoint=tcp\:{port}\:interface=127.0.0.1:token_file={tmp_path}/token"
    with site(sibling) as running, Client(f"{running.home}/control", PATIENCE) as control, Client(f"{running.home}/control", 60) as other:
        heard = control.events("subscribe", topic="heard")
        client = subprocess.Popen([program, name, "127.0.0.1", str(port), TOKEN, "news"], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        try:
            while other.ask("presence", topic="news")["connections"] == 0:
                assert client.poll() is None
            other.ask("publish", topic="news", payload="hello")
            assert next(heard)["payload"] == "hello"
            assert client.stdout.readline() == "hello\n"
        finally:
            client.kill()
            client.wait()
            client.stdout.close()
        wrong = subprocess.run(
            [program, name, "127.0.0.1", str(port), "wrong", "news"], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE
        )
        assert wrong.returncode == 1 and "token is missing or wrong" in wrong.stderr
