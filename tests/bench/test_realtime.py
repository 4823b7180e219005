"""The goals of WebSockets, and the program that measures them, with a real hendrix."""

from __future__ import annotations

import realtime
import report
from realtime import DAPHNE, OURS, UVICORN, Held, Realtime

FOUND = Realtime(
    {
        OURS: Held(20_000.0, 30.0, 20.0, 10.0, 3.0, 10_000),
        UVICORN: Held(16_000.0, 40.0, 30.0, 20.0, 25.0, 10_000),
        DAPHNE: Held(3_000.0, 250.0, 300.0, 330.0, 31.0, 10_000),
    },
    {8: 20.0, 64: 13.0},
)


def test_all_goals_met() -> None:
    goals = realtime.judge(FOUND)
    assert [goal.met for goal in goals] == [True] * 5
    assert goals[0].figures == "20,000, 6.7 times 3,000"


def test_all_goals_missed() -> None:
    held = {**FOUND.held, OURS: Held(14_999.0, 40.0, 61.0, 67.0, 12.1, 10_000)}
    assert [goal.met for goal in realtime.judge(Realtime(held, {}))] == [False] * 5


def test_what_was_not_measured_is_neither() -> None:
    assert {goal.met for goal in realtime.judge(None)} == {None}
    alone = Realtime({OURS: FOUND.held[OURS]}, {})
    assert [goal.met for goal in realtime.judge(alone)] == [None] * 4 + [True]


def test_the_report_has_them() -> None:
    text = report.realtime_table(FOUND)
    assert "| hendrix | 20,000 | 30.0 | 20.0 | 10.0 | 3.0 | 10,000 |" in text
    assert "8 connections: 20.0 µs" in text


def test_it_measures_hendrix() -> None:
    found = realtime.measure(realtime.SERVERS[0], 2, realtime.machine.two_cores(), 1, 2, 50)
    assert found.rate > 0
    assert found.last > 0
    assert found.open == 50
