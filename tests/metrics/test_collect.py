"""`hendrix.metrics.collect`, `families` and `prometheus`: from the tree and the sums to the text."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hendrix.metrics.collect import Metrics, of_tree
from hendrix.metrics.families import BY_NAME, FAMILIES, KINDS, NODES, ONCE
from hendrix.metrics.prometheus import text
from hendrix.metrics.totals import Counting, Totals
from hendrix.tree import Branch


def node(name: str, *children: Branch, **numbers: float) -> Branch:
    return {"name": name, "line": "", "numbers": numbers, "children": list(children)}


def tree() -> Branch:
    crew = node("crew", threads=8, busy=1, backlog=2, oldest=0.5, in_application=1)
    worker = node("worker 1", crew, node("connections", connections=3, websocket=2, poll=1), node("hub", members=4))
    return node(
        "hendrix",
        node("hub", topics=5, published=6, broker_connected=1, broker_dropped=3),
        node("workers", worker, node("worker 2"), workers=2, serving=1, draining=0, started=3, died=1),
        node("siblings", node("irc", node("crew", busy=9), restarts=2, said=7)),
        node("mine", number=1.5, word="no number"),  # type: ignore[arg-type]
    )


def test_the_numbers_of_nodes_go_to_their_families_and_all_others_to_one() -> None:
    found = dict(of_tree(tree()))
    assert found["crew_busy", "worker 1"] == 1 and found["crew_oldest_seconds", "worker 1"] == 0.5
    assert found["realtime_connections", "worker 1", "websocket"] == 2 and found["hub_topics",] == 5
    assert (found["broker_connected",], found["broker_dropped",]) == (1, 3)
    assert found["workers_serving",] == 1 and found["worker_deaths",] == 1
    assert found["sibling_restarts", "irc"] == 2 and found["node", "main", "siblings/irc", "said"] == 7
    assert found["node", "main", "mine", "number"] == 1.5 and found["node", "worker 1", "hub", "members"] == 4
    assert all(isinstance(value, (int, float)) for value in found.values())
    assert found["node", "main", "siblings/irc/crew", "busy"] == 9, "a node is known by its place"


def test_every_family_that_is_named_somewhere_is_one_and_has_as_many_labels() -> None:
    named = [family for numbers in NODES.values() for family in numbers.values() if family]
    for name, *rest in named:
        assert len(BY_NAME[name].labels) == 1 + len(rest)
    assert all(not BY_NAME[name].labels for numbers in ONCE.values() for name in numbers.values())
    assert all(name in BY_NAME for name in KINDS.values()) and len(BY_NAME) == len(FAMILIES)


@pytest.fixture
def families() -> dict[str, Any]:
    counting = Counting()
    for seconds in (0.001, 0.3, 99.0):
        counting.meter.served({"hendrix.route": '/"\\\n<id>'}, "GET", "200", 1, 2, 0.0, seconds)
    written = text(Metrics(Totals(counting), tree).samples()).decode()
    return {family.name: family for family in text_string_to_metric_families(written)}


def test_the_text_is_read_back_by_prometheus(families: dict[str, Any]) -> None:
    assert set(families) == {f"hendrix_{family.name}" for family in FAMILIES}
    (requests,) = families["hendrix_requests"].samples
    assert (requests.name, requests.value) == ("hendrix_requests_total", 3)
    assert requests.labels == {"method": "GET", "status": "200", "route": '/"\\\n<id>'}, "no route forges a line"
    assert families["hendrix_info"].samples[0].labels["twisted"]


def test_histograms_are_cumulative(families: dict[str, Any]) -> None:
    samples = families["hendrix_request_seconds"].samples
    buckets = {sample.labels["le"]: sample.value for sample in samples if sample.name.endswith("_bucket")}
    assert (buckets["0.0005"], buckets["0.001"], buckets["0.25"], buckets["0.5"], buckets["60.0"], buckets["+Inf"]) == (0, 1, 1, 2, 2, 3)
    assert [sample.value for sample in samples if sample.name.endswith(("_count", "_sum"))] == [3, pytest.approx(99.301)]
