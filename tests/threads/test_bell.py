"""A bell is rung once for each who waits, before or after."""

from __future__ import annotations

import threading
import time

from hendrix.threads.bell import Bell

PATIENCE = 30.0


def test_a_ring_before_the_poll_is_heard() -> None:
    bell = Bell()
    bell.wake()
    bell.poll(PATIENCE, 1)


def test_a_ring_ends_a_poll_that_waits_for_ever() -> None:
    bell = Bell()
    thread = threading.Thread(target=bell.poll, args=(-1, 1), daemon=True)
    thread.start()
    assert thread.is_alive()
    bell.wake()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_without_a_ring_it_waits_no_longer_than_told() -> None:
    bell, began = Bell(), time.monotonic()
    bell.poll(0, 1)
    bell.poll(0.05, 1)
    assert 0.05 <= time.monotonic() - began < PATIENCE


def test_each_ring_wakes_one() -> None:
    bell = Bell()
    threads = [threading.Thread(target=bell.poll, args=(-1, 1), daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in threads:
        bell.wake()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
