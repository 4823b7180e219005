"""When a worker wants to be replaced."""

from __future__ import annotations

from hendrix.metrics.process import rss
from hendrix.workers.age import PATIENCE, Age


def test_after_so_many_requests_and_a_tenth_more_at_most() -> None:
    limits = set()
    for _ in range(200):
        wishes: list[str] = []
        age = Age(100, 0, wishes.append)
        requests = 0
        while not wishes:
            requests += 1
            age.look(requests)
        limits.add(requests)
    assert min(limits) >= 100
    assert max(limits) <= 110
    assert len(limits) > 1, "they do not all go at once"


def test_when_it_uses_more_memory() -> None:
    wishes: list[str] = []
    Age(0, rss() * 2, wishes.append).look(1)
    assert wishes == []
    Age(0, 1, wishes.append).look(1)
    assert wishes[0].endswith("M of memory") or wishes[0].endswith("G of memory")


def test_a_wish_that_was_not_heard_is_repeated_but_not_each_time() -> None:
    wishes: list[str] = []
    age = Age(1, 0, wishes.append)
    for _ in range(PATIENCE + 1):
        age.look(5)
    assert len(wishes) == 1
    age.look(6)
    assert wishes == ["it has had 5 requests", "it has had 6 requests"]


def test_never_without_limits() -> None:
    wishes: list[str] = []
    Age(0, 0, wishes.append).look(10**9)
    assert wishes == []
