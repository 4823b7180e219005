"""The goals of crosstown traffic, and the program that measures them."""

from __future__ import annotations

import crosstown
import queues
import report
from results import Results

FOUND = crosstown.Crosstown({8: 9.0, 64: 7.0}, (0.1, 1.0), 100_000, 150_000, {"Celery with Redis": 1000, "django-tasks-db": 300})


def test_all_goals_met() -> None:
    goals = crosstown.judge(FOUND)
    assert [goal.met for goal in goals] == [True] * 5
    assert goals[0].figures == "8 connections: 9.0 µs; 64 connections: 7.0 µs"
    assert goals[3].figures == "100,000, 100 times 1,000"


def test_all_goals_missed() -> None:
    found = crosstown.Crosstown({8: 10.0, 64: 7.0}, (0.1, 2.0), 10_000, 20_001, {"Celery with Redis": 501, "django-tasks-db": 501})
    assert [goal.met for goal in crosstown.judge(found)] == [False] * 5


def test_what_was_not_measured_is_neither() -> None:
    assert {goal.met for goal in crosstown.judge(None)} == {None}
    found = crosstown.Crosstown(FOUND.added, FOUND.delay, FOUND.rate, FOUND.executor, {"Celery with Redis": None})
    assert [goal.met for goal in crosstown.judge(found)][3:] == [None, None]


def test_the_report_has_them() -> None:
    assert "| tasks/s: at least 20 times django-tasks-db | 100,000, 333 times 300 | met |" in report.crosstown_table(
        Results(crosstown=FOUND)
    )


def test_it_measures_what_it_can(monkeypatch) -> None:
    def missing(count: int, core: int) -> float:
        raise ValueError("is not installed")

    monkeypatch.setattr(crosstown, "overhead", lambda *_: {8: 1.0})
    monkeypatch.setattr(queues, "celery", missing)
    monkeypatch.setattr(queues, "database", lambda count, core: 100.0)
    faults: list[str] = []
    found = crosstown.run(3, (0, 0), quick=True, fault=faults.append)
    assert faults == ["Celery with Redis: is not installed"] and found.peers == {"Celery with Redis": None, "django-tasks-db": 100.0}
    assert found.rate > 0 and found.executor > 0
