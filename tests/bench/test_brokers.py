"""The goals of brokers, and the program that measures them, with a real Redis."""

from __future__ import annotations

import brokers
import pytest
import report
from brokers import CHANNELS, OURS, PUBSUB, Carried

import redis_server

FOUND = {OURS: Carried(30_000.0, 2.0, 1.0), CHANNELS: Carried(1_000.0, 9.0, 3.0), PUBSUB: Carried(4_000.0, 3.0, 1.0)}


def test_the_better_one_counts() -> None:
    assert [goal.met for goal in brokers.judge(FOUND)] == [True, True]
    assert [goal.met for goal in brokers.judge({**FOUND, PUBSUB: Carried(9_000.0, 1.0, 0.5)})] == [False, False]


def test_what_is_not_measured_is_not_judged() -> None:
    assert {goal.met for found in ({}, {OURS: FOUND[OURS]}) for goal in brokers.judge(found)} == {None}


def test_the_table() -> None:
    assert "| hendrix | 30,000 | 1.00 ms | 2.00 ms |" in report.brokers_table(FOUND)
    assert report.brokers_table({}) == ""


@pytest.mark.skipif(bool(redis_server.missing()), reason=redis_server.missing())
def test_it_measures_two_nodes_at_a_real_redis() -> None:
    with redis_server.RedisServer() as server:
        found = brokers.measure(OURS, server.url, brokers.machine.two_cores(), 200, 20)
    assert found.rate > 0 and 0 < found.p50 <= found.p99
