"""`hendrix.metrics.process`: how late the reactor is, and how much memory there is."""

from __future__ import annotations

import pytest
import twisted.internet.reactor  # noqa: F401  # a LoopingCall asks for it, whatever its clock is then
from twisted.internet.task import Clock

from hendrix.metrics.process import KEPT, LOOK, ProcessService, rss


def test_lag_is_the_worst_of_the_last_looks() -> None:
    clock = Clock()
    service = ProcessService(clock)
    service.startService()
    clock.advance(LOOK)
    assert service.lag == 0
    clock.advance(LOOK + 0.2)
    assert service.numbers()["lag"] == pytest.approx(0.2)
    for _ in range(KEPT - 1):
        clock.advance(LOOK / 2)
        clock.advance(LOOK / 2)
    assert service.lag == pytest.approx(0.2)
    for _ in range(3):
        clock.advance(LOOK / 2)
        clock.advance(LOOK / 2)
    assert service.lag < 0.1
    service.stopService()
    assert not clock.getDelayedCalls()


def test_a_reactor_that_missed_several_looks_is_late_once() -> None:
    clock = Clock()
    service = ProcessService(clock)
    service.startService()
    clock.advance(5 * LOOK + 0.01)
    assert service.lag == pytest.approx(4 * LOOK + 0.01)
    clock.advance(LOOK - 0.01)
    assert len([lag for lag in service._lags if lag > 0.001]) == 1
    service.stopService()


def test_memory_is_told() -> None:
    service = ProcessService(Clock())
    assert rss() > 1 << 20 and "of memory, the reactor at most 0.0 ms late" in service.describe()
