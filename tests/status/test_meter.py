"""`hendrix.status.meter`: what is counted, and quantiles of it."""

from __future__ import annotations

import random
import threading

import pytest

from hendrix.status.meter import BOUNDS, SLOWEST, Meter, brief, quantiles


def served(meter: Meter, code: str = "200", seconds: float = 0.01, path: str = "/") -> None:
    meter.served({"SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": "token=secret"}, "GET", code, 0, 0, seconds / 4, seconds * 3 / 4)


def buckets(*seconds: float) -> dict[int, int]:
    meter = Meter()
    for one in seconds:
        served(meter, seconds=one)
    return {int(index): count for index, count in meter.take()["buckets"].items()}


@pytest.mark.parametrize("make", [lambda: random.expovariate(20), lambda: random.uniform(0.001, 3), lambda: random.lognormvariate(-5, 1)])
def test_quantiles_are_off_by_less_than_an_eighth(make):
    seconds = sorted(make() for _ in range(5000))
    for part, found in zip((0.5, 0.95, 0.99), quantiles(buckets(*seconds), 0.5, 0.95, 0.99)):
        true = seconds[int(part * len(seconds))]
        assert found == pytest.approx(true, rel=0.13, abs=BOUNDS[0])


def test_of_nothing_there_are_no_quantiles():
    assert quantiles({}, 0.5, 0.99) == [None, None]


def test_what_is_longer_than_all_bounds_is_counted_too():
    assert quantiles(buckets(1e6), 0.5) == [pytest.approx(BOUNDS[-1], rel=0.01)]


def test_answers_are_counted_by_their_class_and_once():
    meter = Meter()
    for code in ("200", "204", "302", "404", "500", ""):
        served(meter, code)
    assert meter.take()["codes"] == {"0": 1, "2": 2, "3": 1, "4": 1, "5": 1}
    assert meter.take() == {"buckets": {}, "codes": {}, "slow": []}


def test_a_refusal_took_no_time_that_could_be_measured():
    meter = Meter()
    meter.refused("GET", "503")
    taken = meter.take()
    assert taken["codes"] == {"5": 1} and taken["buckets"] == {}


def test_nothing_is_lost_between_threads():
    meter, taken = Meter(), 0

    def work():
        for _ in range(2000):
            served(meter)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        taken += meter.take()["codes"].get("2", 0)
    assert taken + meter.take()["codes"].get("2", 0) == 8000


def test_of_a_path_the_slowest_answer_is_kept_and_how_many_were_slow():
    meter = Meter(lambda: ["a.py:1 a"])
    for seconds in (0.2, 0.9, 0.3, 0.05):
        served(meter, "200", seconds, "/report")
    (slow,) = meter.take()["slow"]
    assert (slow["title"], slow["seconds"], slow["many"], slow["stack"]) == ("GET /report", 0.9, 3, ["a.py:1 a"])


def test_however_many_paths_are_slow_few_are_told():
    meter = Meter()
    for number in range(1000):
        served(meter, "200", 0.11 + number / 1000, f"/{number}")
    assert [slow["title"] for slow in meter.take()["slow"]] == [f"GET /{number}" for number in range(999, 999 - SLOWEST, -1)]


def test_a_title_has_no_query_and_no_end_without_need():
    assert brief("GET /a?password=b") == "GET /a"
    assert len(brief("GET /" + "a" * 1000)) == 120


def test_a_path_reads_as_it_was_meant():
    meter = Meter()
    served(meter, seconds=1, path="/caf\u00c3\u00a9")
    assert meter.take()["slow"][0]["title"] == "GET /café"
