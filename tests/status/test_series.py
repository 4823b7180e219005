"""`hendrix.status.series`: the seconds of all processes together."""

from __future__ import annotations

from typing import Any

from hendrix.status.series import KEPT, LATE, Series


def report(second: int, requests: int = 1, **codes: int) -> dict[str, Any]:
    return {"second": second, "buckets": {"40": requests}, "codes": codes or {"2": requests}}


def filled(series: Series, until: int) -> None:
    series.at(until).levels = {"busy": 0}


def test_processes_add_up():
    series = Series()
    series.add(report(100, 3), 100)
    series.add({**report(100, 2), "codes": {"2": 1, "5": 1}}, 100)
    filled(series, 100)
    (row,) = series.rows()
    assert (row["t"], row["requests"], row["errors"], series.requests, series.errors) == (100, 5, 1, 5, 1)


def test_a_second_in_which_nothing_was_is_there_too():
    series = Series()
    series.add(report(100), 100)
    filled(series, 103)
    assert [(row["t"], row["requests"], row["p50"] is None) for row in series.rows()] == [
        (100, 1, False), (101, 0, True), (102, 0, True), (103, 0, True),
    ]  # fmt: skip


def test_a_late_report_counts_for_its_own_second():
    series = Series()
    filled(series, 100)
    filled(series, 103)
    series.add(report(101), 103)
    assert [row["requests"] for row in series.rows()] == [0, 1, 0, 0]


def test_one_that_is_much_too_late_or_of_tomorrow_is_not_lost():
    series = Series()
    filled(series, 100)
    filled(series, 200)
    series.add(report(3), 200)
    series.add(report(9000), 200)
    rows = {row["t"]: row["requests"] for row in series.rows()}
    assert rows[200 - LATE] == 1 and rows[200] == 1 and max(rows) == 200


def test_no_more_is_kept_than_is_shown():
    series = Series()
    for second in range(3 * KEPT):
        series.add(report(second), second)
        filled(series, second)
    assert len(series.rows()) == KEPT and series.requests == 3 * KEPT
    assert series.rows()[-1]["t"] == 3 * KEPT - 1


def test_a_long_sleep_leaves_no_more_behind_either():
    series = Series()
    filled(series, 100)
    filled(series, 10**6)
    assert len(series.rows()) == KEPT and series.rows()[-1]["t"] == 10**6


def test_the_last_minute_is_one():
    series = Series()
    for second in range(1, 201):
        series.add(report(second, 2), second)
        filled(series, second)
    minute = series.minute()
    assert minute["requests"] == 120 and minute["p50"] is not None
