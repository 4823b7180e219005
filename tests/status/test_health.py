"""`hendrix.status.health`: the colours of the tree."""

from __future__ import annotations

from hendrix.status.health import NEWS, Health, sums
from hendrix.tree import Branch


def node(name: str, line: str = "", *children: Branch, **numbers: float) -> Branch:
    return {"name": name, "line": line, "numbers": dict(numbers), "children": list(children)}


def test_what_is_well_is_not_mentioned():
    tree = node("hendrix", "", node("crew", threads=8, busy=8, backlog=0), node("crosstown", failed=3))
    assert Health().look(tree, 0) == {}


def test_a_full_crew_is_busy_when_requests_wait():
    tree = node("hendrix", "", node("crew", threads=8, busy=8, backlog=1))
    assert Health().look(tree, 0) == {"hendrix/crew": ("busy", "all threads are busy, and requests wait")}


def test_a_failure_is_news_for_a_minute():
    health = Health()
    assert health.look(node("hendrix", "", node("crosstown", failed=3)), 0) == {}
    after = node("hendrix", "", node("crosstown", failed=4))
    assert health.look(after, 10)["hendrix/crosstown"][0] == "busy"
    assert health.look(after, 10 + NEWS - 1)
    assert health.look(after, 10 + NEWS + 1) == {}


def test_a_counter_that_begins_anew_is_a_new_process():
    health = Health()
    health.look(node("hendrix", "", node("crosstown", failed=4)), 0)
    assert health.look(node("hendrix", "", node("crosstown", failed=0)), 1) == {}
    assert health.look(node("hendrix", "", node("crosstown", failed=1)), 2)


def test_what_is_down_is_bad():
    tree = node("hendrix", "", node("siblings", "", node("irc", "down", restarts=0)))
    assert Health().look(tree, 0) == {"hendrix/siblings/irc": ("bad", "it does not run")}


def test_workers_that_are_missing():
    assert Health().look(node("hendrix", "", node("workers", workers=2, serving=0)), 0)["hendrix/workers"][0] == "bad"
    assert Health().look(node("hendrix", "", node("workers", workers=2, serving=1)), 0)["hendrix/workers"][0] == "busy"


def test_sums_are_over_nodes_of_the_same_name():
    tree = node("hendrix", "", node("worker 1", "", node("crew", busy=1)), node("worker 2", "", node("crew", busy=2)))
    assert sums(tree)["crew"] == {"busy": 3}
