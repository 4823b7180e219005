"""The servers under test: one process for the whole session, and two with settings of their own."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Site

sys.path.insert(0, str(Path(__file__).parent))

from subject import HERE, MAX_BODY, MAX_HEAD, Hold, Server

LANES = {
    "fast lane": ("", b"", b""),
    "reactor lane": ("haproxy:", b"PROXY TCP4 127.0.0.1 127.0.0.1 4711 80\r\n", b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\n"),
}
"""Two kinds of transport, which the server reads and writes in two ways: plain sockets, and those that Twisted wraps."""


@pytest.fixture(scope="session", params=LANES)
def lane(request: pytest.FixtureRequest) -> str:
    """Which of the two ways the server under test takes."""
    return str(request.param)


def _serve(lane: str, *arguments: str) -> Iterator[Server]:
    wrapper, tcp_preface, unix_preface = LANES[lane]
    with tempfile.TemporaryDirectory() as directory:
        listen = [f"{wrapper}tcp:0:interface=127.0.0.1", f"{wrapper}unix:{directory}/http"]
        with Site("app:app", *arguments, cwd=HERE, listen=listen) as site:
            yield Server(site, tcp_preface, unix_preface)


@pytest.fixture(scope="session")
def server(lane: str) -> Iterator[Server]:
    """The server that most tests talk to: no timeout of its own strikes within a test."""
    yield from _serve(lane, "--threads=4", f"--max-body={MAX_BODY}", f"--max-head={MAX_HEAD}")


@pytest.fixture(scope="session")
def hurried(lane: str) -> Iterator[Server]:
    """A server with short timeouts (seconds), one thread, and room for 4 waiting requests."""
    yield from _serve(lane, "--threads=1", "--backlog=4", "--header-timeout=0.6", "--body-timeout=0.8", "--keepalive=0.6")


@pytest.fixture(scope="session")
def behind_proxy(lane: str) -> Iterator[Server]:
    """A server that trusts 127.0.0.1 to be a proxy, as well as 10.0.0.0/8; but not the peers of its unix socket."""
    yield from _serve(lane, "--trusted-proxy=127.0.0.1", "--trusted-proxy=10.0.0.0/8")


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Hold]:
    """Keeps a request in the application until the test releases it."""
    with Hold(tmp_path) as hold:
        yield hold
