"""The examples, where they lie, and a browser to visit them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for browser.py: test files are not a package


@pytest.fixture(scope="session")
def examples() -> Path:
    """The directory of the examples."""
    return Path(__file__).parents[2] / "examples"
