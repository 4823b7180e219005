"""`hendrix.metrics.totals`: sums over processes that come and go."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hendrix.metrics.meter import Samples
from hendrix.metrics.totals import Counting, Report, Totals, summed


class Wire:
    """A channel whose other end is `there`. What goes over it goes as JSON."""

    received: Callable[[dict[str, Any]], object]
    lost: Callable[[], object]

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        self.received(json.loads(json.dumps(message)))


def one_of(totals: Totals, name: str) -> tuple[Counting, Report, Wire]:
    wire, counting = Wire(), Counting()
    totals.attach(name, wire)
    return counting, Report(counting, wire), wire


def served(counting: Counting, times: int = 1) -> None:
    for _ in range(times):
        counting.meter.served({}, "GET", "200", 0, 10, 0.0, 0.001)


def requests(samples: Samples) -> Any:
    return samples.get(("requests", "GET", "200", ""), 0)


def test_what_a_process_has_counted_outlives_it() -> None:
    totals = Totals(Counting())
    old, old_report, old_wire = one_of(totals, "worker 1")
    served(old, 3)
    old_report.send()
    new, new_report, _ = one_of(totals, "worker 1")
    served(new, 2)
    served(old, 1)
    new_report.send()
    old_report.send()
    assert requests(totals.by_process()["worker 1"]) == 6, "both, while one drains"
    old_wire.lost()
    assert requests(totals.by_process()["worker 1"]) == 6
    served(new)
    new_report.send()
    served(new)  # not reported: it dies
    assert requests(summed(totals.by_process())) == 7


def test_places_are_kept_apart_and_summed_with_this_process() -> None:
    here = Counting()
    totals = Totals(here)
    for name, times in (("worker 1", 1), ("worker 2", 2)):
        counting, report, _ = one_of(totals, name)
        served(counting, times)
        report.send()
    served(here, 4)
    found = totals.by_process()
    assert [requests(found[name]) for name in ("worker 1", "worker 2", "main")] == [1, 2, 4]
    total = summed(found)
    histogram = total["request_seconds", ""]
    assert requests(total) == 7 and isinstance(histogram, list) and sum(histogram[1:]) == 7
    assert total["response_content_bytes",] == 70


def test_only_what_has_changed_is_reported() -> None:
    counting, report, wire = one_of(Totals(Counting()), "worker 1")
    served(counting)
    counting.tallies.end("mail", "done")
    report.send()
    counting.tallies.end("mail", "done")
    report.send()
    changed = [key for key, _ in wire.sent[1]["counted"]]
    assert ["crosstown_tasks", "mail", "done"] in changed and ["requests", "GET", "200", ""] not in changed


def test_tasks_are_counted_by_name_and_end() -> None:
    counting = Counting()
    counting.tallies.started("mail", 0.1)
    counting.tallies.ran("mail", 2.0)
    counting.tallies.end("mail", "failed")
    found = counting.samples()
    assert found["crosstown_tasks", "mail", "failed"] == 1
    start, run = found["crosstown_start_seconds", "mail"], found["crosstown_run_seconds", "mail"]
    assert isinstance(start, list) and isinstance(run, list) and (start[0], run[0]) == (0.1, 2.0)
