"""The examples, where they lie, and a browser to visit them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for browser.py: test files are not a package


@pytest.fixture(scope="session")
def examples() -> Path:
    """The directory of the examples."""
    return Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="session")
def tls_endpoint(certificate: Any) -> str:
    """A value of ``--listen`` for TLS on a port of the kernel's choice."""
    return f"ssl:0:privateKey={certificate.key}:certKey={certificate.cert}:interface=127.0.0.1"
