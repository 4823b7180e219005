"""What all tests share."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import NoReturn

import hypothesis
import pytest

import certificates
from certificates import Certificate
from hendrix.crosstown.traffic import current

# A shared machine makes any deadline a matter of luck.
hypothesis.settings.register_profile("hendrix", deadline=None)
hypothesis.settings.load_profile("hendrix")


def pytest_configure() -> None:
    """End like Ctrl-C when a CI job is cancelled, so that every test puts away what it started."""
    signal.signal(signal.SIGTERM, _interrupt)
    os.environ.setdefault("HENDRIX_LOG_FORMAT", "text")  # what the processes of the tests log is for us to read


def _interrupt(number: int, frame: object) -> NoReturn:
    children = Path(f"/proc/self/task/{os.getpid()}/children")  # the processes of pytest-xdist
    for pid in children.read_text().split() if children.exists() else ():
        os.kill(int(pid), number)
    raise KeyboardInterrupt


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A key and a chain of certificates, made for this run."""
    return certificates.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture(autouse=True)
def no_response() -> None:
    """No test finds itself behind a response that the one before it left in this thread."""
    current.set(None)
