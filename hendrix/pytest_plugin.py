"""The fixture of hendrix for pytest. Every test session loads this: it imports nothing but pytest until the fixture is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hendrix.testing import HeldTraffic


@pytest.fixture
def crosstown() -> Iterator[HeldTraffic]:
    """Holds the crosstown tasks that the test queues: ``crosstown.tasks``, ``len(crosstown)``, ``crosstown.run(status=200)``."""
    from hendrix.testing import held_traffic

    with held_traffic() as traffic:
        yield traffic
