"""The goal of worker processes."""

from __future__ import annotations

import scaling


def test_what_wrk_takes_is_allowed_for() -> None:
    found = scaling.Scaling({1: 8000.0, 2: 14000.0}, {1: 1.0, 2: 1.9}, {"hendrix": 40.0, "gunicorn gthread": 28.0})
    (goal,) = scaling.judge(found)
    assert (goal.figures, goal.met) == ("1.84 (14,000 and 8,000; wrk took 0.10 of the two cores, which is allowed for)", True)


def test_it_may_be_missed_or_not_measured() -> None:
    (goal,) = scaling.judge(scaling.Scaling({1: 8000.0, 2: 14000.0}, {1: 1.0, 2: 2.0}, {}))
    assert (goal.figures, goal.met) == ("1.75 (14,000 and 8,000; wrk on a third core)", False)
    assert [goal.met for goal in scaling.judge(None)] == [None]


def test_weights() -> None:
    found = scaling.Scaling({1: 1.0, 2: 2.0}, {1: 1.0, 2: 2.0}, {"hendrix": 40.0, "gunicorn gthread": 28.0})
    assert scaling.weights_text(found).endswith("hendrix 40.0 MiB, gunicorn gthread 28.0 MiB")
    assert scaling.weights_text(None) == ""
