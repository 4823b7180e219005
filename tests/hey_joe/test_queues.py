"""Queues: each message to one process, at most once, within its time, and none lost without a word."""

from __future__ import annotations

from collections import Counter

import pytest
from hubs import Clock
from hypothesis import given, strategies as st

from hendrix.hey_joe.message import Message
from hendrix.hey_joe.queues import PATIENCE, Queues


class House:
    def __init__(self, **limits):
        self.clock = Clock()
        self.sent, self.lost = [], []
        self.queues = Queues(self.clock, self._send, self._lose, **limits)
        self.numbers = {}

    def _send(self, process, job):
        self.sent.append((process, job.message.payload))
        self.numbers[job.message.payload] = job.number

    def _lose(self, job, reason):
        self.lost.append((job.message.payload, reason))

    def put(self, payload, expires=60.0, name="q", pattern=None):
        self.queues.put(self.queues.queue(name, pattern), Message(name, "e-1", 0.0, str(payload)), expires)

    def done(self, payload, failed=False):
        return self.queues.done(self.numbers[payload], failed)


def test_each_message_goes_to_one_process_and_they_take_turns():
    house = House()
    for process in "AB":
        house.queues.serve("q", None, process, 1)
    for number in range(4):
        house.put(number)
    assert house.sent == [("A", 0), ("B", 1)]
    house.done(1)
    house.done(0)
    assert house.sent[2:] == [("B", 2), ("A", 3)]
    assert house.queues.waiting == 0 and house.queues.working == 2


def test_messages_wait_for_a_process():
    house = House()
    house.put(1)
    house.put(2)
    assert house.queues.waiting == 2
    house.queues.serve("q", None, "A", 2)
    assert house.sent == [("A", 1), ("A", 2)]


def test_what_has_expired_is_lost_and_not_begun():
    house = House()
    house.put(1, expires=5)
    house.put(2, expires=50)
    house.clock.now += 6
    house.queues.serve("q", None, "A", 1)
    assert house.sent == [("A", 2)] and house.lost == [(1, "expired")]
    house.put(3, expires=5)
    house.clock.now += 6
    house.queues.sweep()
    assert house.lost[1:] == [(3, "expired")]


def test_a_full_queue_loses_the_new_one():
    house = House(messages=2)
    for number in range(3):
        house.put(number)
    assert house.lost == [(2, "full")]
    house.clock.now += 61
    house.put(3)  # the others have expired
    assert house.lost[1:] == [(0, "expired"), (1, "expired")] and house.queues.waiting == 1


def test_characters_are_limited():
    house = House(characters=10)
    house.put(12345678)
    house.put(123)
    house.put(12)
    assert house.lost == [(123, "full")]


def test_what_a_process_was_doing_as_it_died_is_lost_and_the_rest_goes_on():
    house = House()
    house.queues.serve("q", None, "A", 2)
    for number in range(3):
        house.put(number)
    house.queues.gone("A")
    assert house.lost == [(0, "died"), (1, "died")]
    house.queues.serve("q", None, "B", 1)
    assert house.sent[2:] == [("B", 2)]
    assert house.done(0) is None


def test_a_job_that_was_not_begun_goes_to_another():
    house = House()
    house.queues.serve("q", None, "A", 1)
    house.put(1)
    house.queues.rest("A")
    house.queues.refuse(house.numbers[1])
    assert house.queues.waiting == 1 and house.lost == []
    house.queues.serve("q", None, "B", 1)
    assert house.sent == [("A", 1), ("B", 1)]


def test_a_process_that_rests_may_finish():
    house = House()
    house.queues.serve("q", None, "A", 1)
    house.put(1)
    house.put(2)
    house.queues.rest("A")
    assert house.done(1) is not None
    assert house.queues.waiting == 1 and house.sent == [("A", 1)]


@pytest.mark.parametrize("pattern", [None, "orders.*"])
def test_a_queue_that_nobody_serves_is_given_up_in_time(pattern):
    house = House()
    house.queues.serve("q", pattern, "A", 1)
    house.queues.gone("A")
    house.put(1, expires=1000, pattern=pattern)
    house.clock.now += PATIENCE + 1
    gone = house.queues.sweep()
    if pattern is None:  # somebody has put it there by name, and it has its time
        assert gone == [] and house.queues.waiting == 1
        house.clock.now += 1000
        gone = house.queues.sweep()
    assert [queue.name for queue in gone] == ["q"]
    assert house.lost == [(1, "expired")] and len(house.queues) == 0


STEPS = st.one_of(
    st.tuples(st.just("put"), st.integers(1, 40)),
    st.tuples(st.sampled_from(["serve", "rest", "gone"]), st.sampled_from("AB")),
    st.tuples(st.sampled_from(["done", "fail", "refuse"]), st.integers(0, 3)),
    st.tuples(st.just("wait"), st.integers(1, 20)),
    st.tuples(st.just("sweep"), st.just(0)),
)


@given(st.lists(STEPS, max_size=80))
def test_whatever_happens_each_message_is_begun_at_most_once_and_accounted_for(steps):
    house = House(messages=5)
    put, working, finished, returned = 0, [], [], Counter()
    for what, value in steps:
        before = len(house.sent)
        if what == "put":
            house.put(put, expires=value)
            put += 1
        elif what == "serve":
            house.queues.serve("q", None, value, 2)
        elif what == "rest":
            house.queues.rest(value)
        elif what == "gone":
            house.queues.gone(value)
            working = [(process, payload) for process, payload in working if process != value]
        elif what in ("done", "fail") and working:
            finished.append(working.pop(value % len(working))[1])
            assert house.done(finished[-1], failed=what == "fail") is not None
        elif what == "refuse" and working:
            process, payload = working.pop(value % len(working))
            returned[payload] += 1
            house.queues.rest(process)
            house.queues.refuse(house.numbers[payload])
        elif what == "wait":
            house.clock.now += value
        elif what == "sweep":
            house.queues.sweep()
        working += house.sent[before:]
        assert sum(queue.size for queue in house.queues._queues.values()) == sum(
            job.message.size for queue in house.queues._queues.values() for job in queue.waiting
        )
    begun = Counter(payload for _, payload in house.sent)
    assert all(count == 1 + returned[payload] or count == returned[payload] for payload, count in begun.items())
    lost = Counter(payload for payload, reason in house.lost if reason != "failed")
    waiting = Counter(job.message.payload for queue in house.queues._queues.values() for job in queue.waiting)
    there = lost + waiting + Counter(finished) + Counter(payload for _, payload in working)
    assert there == Counter(range(put))
    assert house.queues.working == len(working)
    for process, places in Counter(process for process, _ in working).items():
        assert places <= 2, process
