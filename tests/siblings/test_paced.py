from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from hendrix.siblings.paced import BURST, TICK, PacedQueue


def gone(queue):
    """All that may go now."""
    items = []
    while (item := queue.next()) is not None:
        items.append(item)
        queue.take()
    return items


def filled(rate, count, most=10_000, clock=None):
    queue = PacedQueue(rate, most, (clock or Clock()).seconds)
    for number in range(count):
        assert queue.put(b"%d" % number)
    return queue


def test_what_is_in_it_goes_in_order_and_at_its_pace():
    clock = Clock()
    queue = filled(1.0, 3, clock=clock)
    assert gone(queue) == [b"0"]
    assert queue.pause() == 1.0
    clock.advance(0.5)
    assert gone(queue) == []
    assert queue.pause() == 0.5
    clock.advance(0.5)
    assert gone(queue) == [b"1"]
    clock.advance(100)
    assert gone(queue) == [b"2"], "what was not used is not made up for"
    assert gone(queue) == []
    queue.put(b"3")
    assert gone(queue) == []


def test_at_a_high_rate_several_go_at_once():
    clock = Clock()
    queue = filled(1000.0, 200, clock=clock)
    assert len(gone(queue)) == 1000 * BURST
    assert queue.pause() == TICK
    clock.advance(0.01)
    assert len(gone(queue)) == 10


def test_over_a_long_time_the_rate_is_kept():
    clock = Clock()
    queue = filled(300.0, 500, clock=clock)
    count = 0
    while count < 500:
        count += len(gone(queue))
        assert count <= 300 * clock.seconds() + 300 * BURST + 1e-6
        clock.advance(queue.pause())
    assert clock.seconds() == pytest.approx((500 - 300 * BURST) / 300, abs=0.02)


def test_without_a_rate_all_go_at_once():
    assert len(gone(filled(0, 200))) == 200


def test_it_is_bounded_by_bytes():
    queue = PacedQueue(0, 10, lambda: 0.0)
    assert [queue.put(b"1234") for _ in range(3)] == [True, True, False]
    assert queue.next() == b"1234"
    queue.take()
    assert queue.put(b"123456")
    assert (len(queue), queue.clear(), len(queue)) == (2, 2, 0)
    assert queue.next() is None
    assert queue.put(b"1234567890")
