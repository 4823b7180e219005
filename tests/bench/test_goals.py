"""A goal is met, missed or not measured; the report says which."""

from __future__ import annotations

import dataclasses

import pytest
from goals import COUNTS, GRANIAN, GUNICORN, UWSGI, Goal, judge
from idle import Idle
from load import CLOSE, KEEP_ALIVE, Sample
from report import Context, render
from results import Cell, Results
from servers import APPS, SERVERS

SAMPLE = Sample(rate=10_000.0, cpu=100.0, p50=1.0, p99=10.0, requests=40_000, served=60.0, client=0.5, foreign=0.0, steal=0.0, faults=())
WINNER = dataclasses.replace(SAMPLE, rate=40_000.0, cpu=10.0, p99=2.0)
IDLE = Idle(wanted=10_000, connections=10_000, memory=4.0, descriptors=1.0, cpu=0.1, p50=0.3, worst=2.0, left=0, alive=True)
CONTEXT = Context(
    date="1 January 2030",
    duration=30,
    machine="a processor, 2 cores",
    versions={"hendrix": "6"},
    load=("0.00", "1.00"),
    rounds=3,
    seconds=4,
    threads=8,
    connections=COUNTS,
    modes=(KEEP_ALIVE, CLOSE),
)


@pytest.fixture
def results() -> Results:
    """A run that hendrix has won in everything, three rounds alike."""
    found = Results(idle=IDLE, asleep=[1600.0] * 3)
    for server in SERVERS.values():
        for app in APPS:
            own = WINNER if server.name == "hendrix" else SAMPLE
            found.memory[server.name, app] = [(20_000, 30_000 if server.name == "hendrix" else 40_000)] * 3
            for mode in (KEEP_ALIVE, CLOSE):
                for count in COUNTS:
                    rate = 1550.0 if app == "waiting" else own.rate
                    found.samples[Cell(server.name, app, mode, count)] = [dataclasses.replace(own, rate=rate)] * 3
    return found


def verdict(results: Results, *words: str) -> Goal:
    """The one goal whose text has all the words."""
    (goal,) = [goal for goal in judge(results, 8) if all(word in goal.text for word in words)]
    return goal


def spoil(results: Results, server: str, app: str, count: int, mode: str = KEEP_ALIVE, **changes: float) -> None:
    """Change what one server has done in one place."""
    cell = Cell(server, app, mode, count)
    results.samples[cell] = [dataclasses.replace(sample, **changes) for sample in results.samples[cell]]  # type: ignore[arg-type]


def test_a_run_that_wins_everywhere_meets_every_goal(results: Results) -> None:
    assert [goal.text for goal in judge(results, 8) if goal.met is not True] == []


def test_an_empty_run_has_measured_nothing() -> None:
    assert {goal.met for goal in judge(Results(), 8)} == {None}


@pytest.mark.parametrize("app", ["bare", "flask", "django"])
@pytest.mark.parametrize("count", COUNTS)
def test_level_with_uwsgi_is_not_below(results: Results, app: str, count: int) -> None:
    spoil(results, UWSGI, app, count, cpu=WINNER.cpu)
    assert verdict(results, "CPU", f"{app}:", "uWSGI").met is False


def test_granian_may_be_a_little_ahead_at_64_only(results: Results) -> None:
    for count in COUNTS:
        spoil(results, GRANIAN, "bare", count, cpu=WINNER.cpu / 1.14)
    assert verdict(results, "bare, 8", "granian").met is False
    assert verdict(results, "bare, 64", "granian", "1.15").met is True
    assert verdict(results, "the least of all").met is False
    spoil(results, GRANIAN, "bare", 64, cpu=WINNER.cpu / 1.16)
    assert verdict(results, "bare, 64", "granian", "1.15").met is False


def test_half_of_gunicorn(results: Results) -> None:
    spoil(results, GUNICORN, "django", 8, cpu=2 * WINNER.cpu)
    assert verdict(results, "half of gunicorn").met is True
    spoil(results, GUNICORN, "django", 8, cpu=1.9 * WINNER.cpu)
    assert verdict(results, "half of gunicorn").met is False


def test_the_hardest_peer_decides_p99_and_uwsgi_is_no_such_peer(results: Results) -> None:
    spoil(results, UWSGI, "django", 64, p99=0.1)
    assert verdict(results, "p99", "django").met is True
    spoil(results, "waitress", "django", 64, p99=1.0)
    goal = verdict(results, "p99", "django")
    assert goal.met is False
    assert "2.00 of waitress" in goal.figures


def test_one_connection_per_request(results: Results) -> None:
    spoil(results, GUNICORN, "bare", 64, CLOSE, rate=WINNER.rate / 2.9)
    assert verdict(results, "req/s", "one connection").met is False
    assert verdict(results, "CPU", "one connection").met is True
    spoil(results, GUNICORN, "bare", 64, CLOSE, cpu=WINNER.cpu * 2.9)
    assert verdict(results, "CPU", "one connection").met is False


@pytest.mark.parametrize(("rate", "met"), [(1521.0, True), (1519.0, False)])
def test_the_app_that_waits(results: Results, rate: float, met: bool) -> None:
    spoil(results, "hendrix", "waiting", 8, rate=rate)
    assert verdict(results, "waits").met is met


def test_memory(results: Results) -> None:
    results.memory["hendrix", "django"] = [(1, 41_000)]
    assert verdict(results, "PSS").met is False


@pytest.mark.parametrize(
    ("changes", "memory", "answer"),
    [
        ({"memory": 8.1}, False, True),
        ({"worst": 101.0}, True, False),
        ({"connections": 9_600}, True, True),
        ({"connections": 9_000}, None, None),
    ],
)
def test_idle_connections(results: Results, changes: dict[str, float], memory: bool | None, answer: bool | None) -> None:
    results.idle = dataclasses.replace(IDLE, **changes)  # type: ignore[arg-type]
    assert verdict(results, "idle keep-alive").met is memory
    assert verdict(results, "while those wait").met is answer


def test_the_median_of_the_rounds_counts(results: Results) -> None:
    cell = Cell("hendrix", "bare", KEEP_ALIVE, 8)
    results.samples[cell] = [dataclasses.replace(SAMPLE, cpu=cpu) for cpu in (1.0, 7.0, 1000.0)]
    assert results.median(cell, "cpu") == 7.0
    assert results.ratio(cell, UWSGI, "cpu") == 0.07


def test_the_report_has_every_server_and_verdict(results: Results) -> None:
    spoil(results, UWSGI, "bare", 64, served=8.0)
    spoil(results, "hendrix", "bare", 64, client=0.99)
    text = render(results, CONTEXT)
    assert "15 of 15 met" in text
    assert "Nothing was wrong." in text
    rows = [line for line in text.splitlines() if line.startswith("| uWSGI ")]
    assert len(rows) == 4 * 2 + 1  # a table for each app and mode, and the memory
    assert "| 1.00† |" in rows[0]  # leaves connections waiting
    assert "| 40,000* |" in text  # the client was the bottleneck
    assert "10,000 idle keep-alive connections on hendrix:" in text


def test_the_report_lists_what_was_wrong(results: Results) -> None:
    bad = dataclasses.replace(SAMPLE, faults=("3 status errors",))
    results.add(Cell("waitress", "bare", CLOSE, 8), bad)
    assert "- waitress, bare, close, 8 connections: 3 status errors" in render(results, CONTEXT)


def test_a_report_of_nothing_is_a_report() -> None:
    assert "0 of 15 met" in render(Results(), CONTEXT)
