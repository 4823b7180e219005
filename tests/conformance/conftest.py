"""The servers under test: one process for the whole session, and two with settings of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Site

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from subject import MAX_BODY, MAX_HEAD, Hold, Server  # noqa: E402


def _site(directory: Path, *arguments: str) -> Site:
    return Site("app:app", *arguments, cwd=HERE, listen=["tcp:0:interface=127.0.0.1", f"unix:{directory / 'http'}"])


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server that most tests talk to: no timeout of its own strikes within a test."""
    with _site(tmp_path_factory.mktemp("s"), "--threads=4", f"--max-body={MAX_BODY}", f"--max-head={MAX_HEAD}") as site:
        yield Server(site)


@pytest.fixture(scope="session")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with short timeouts (seconds), one thread, and room for 4 waiting requests."""
    settings = ("--threads=1", "--backlog=4", "--header-timeout=1", "--body-timeout=1.5", "--keepalive=1")
    with _site(tmp_path_factory.mktemp("h"), *settings) as site:
        yield Server(site)


@pytest.fixture(scope="session")
def behind_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that trusts 127.0.0.1 to be a proxy, as well as 10.0.0.0/8; but not the peers of its unix socket."""
    with _site(tmp_path_factory.mktemp("p"), "--trusted-proxy=127.0.0.1", "--trusted-proxy=10.0.0.0/8") as site:
        yield Server(site)


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Hold]:
    """Keeps a request in the application until the test releases it."""
    with Hold(tmp_path) as hold:
        yield hold
