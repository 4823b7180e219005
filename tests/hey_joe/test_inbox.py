"""The inbox of a subscriber: order, limits, policies, and no loss in silence."""

from __future__ import annotations

import json

from hypothesis import given, strategies as st

from hendrix.hey_joe.inbox import Inbox
from hendrix.hey_joe.message import Gap, Message, encoded


class Someone:
    def __init__(self):
        self.readies = 0
        self.cuts = []

    def ready(self):
        self.readies += 1

    def cut(self, code, reason):
        self.cuts.append((code, reason))


def message(number, topic="a", policy="oldest", size=1):
    made = Message(topic, f"e-{number}", 0.0, encoded(topic, "x" * size) if size > 1 else str(number))
    made.policy = policy
    return made


def inbox(**limits):
    someone = Someone()
    return someone, Inbox(someone, **limits)


def taken(box):
    return list(iter(box.take, None))


def ids(items):
    return [int(item.id[2:]) for item in items if isinstance(item, Message)]


def gaps(items):
    return [(item.topic, item.lost, item.reason) for item in items if isinstance(item, Gap)]


def test_a_subscriber_is_told_once_and_then_takes():
    someone, box = inbox()
    box.put(message(1))
    box.put(message(2))
    assert someone.readies == 1
    assert ids(taken(box)) == [1, 2]
    box.put(message(3))
    assert someone.readies == 2


def test_the_oldest_are_dropped_and_counted():
    someone, box = inbox(messages=3)
    for number in range(1, 9):
        box.put(message(number, "ab"[number % 2]))
    items = taken(box)
    assert gaps(items) == [("b", 3, "slow"), ("a", 2, "slow")]
    assert items[0].text == '{"gap":"b","lost":3,"reason":"slow"}'
    assert ids(items) == [6, 7, 8]
    assert box.dropped == 5 and someone.cuts == []


def test_characters_are_limited_but_one_message_always_fits():
    _, box = inbox(characters=1000)
    for number in (1, 2, 3):
        box.put(message(number, size=900))
    items = taken(box)
    assert gaps(items) == [("a", 2, "slow")] and ids(items) == [3]
    box.put(message(4, size=5000))
    assert ids(taken(box)) == [4]


def test_the_latest_is_kept_and_comes_in_the_order_of_ids():
    _, box = inbox()
    for number, topic in enumerate("aabab", 1):
        box.put(message(number, topic, "latest" if topic == "a" else "oldest"))
    items = taken(box)
    assert gaps(items) == [("a", 2, "latest")]
    assert ids(items) == [3, 4, 5]


def test_who_is_too_slow_for_a_topic_that_disconnects_is_cut():
    someone, box = inbox(messages=3)
    for number in range(1, 6):
        box.put(message(number, policy="disconnect"))
    assert someone.cuts == [(4008, "too slow")]
    assert taken(box) == [] and len(box) == 0


def test_what_must_not_be_dropped_outlives_what_may():
    someone, box = inbox(messages=3)
    box.put(message(1, "strict", "disconnect"))
    for number in range(2, 6):
        box.put(message(number))
    assert ids(taken(box)) == [1, 4, 5]
    assert someone.cuts == []


def test_what_was_missed_may_be_more_than_otherwise_may_wait():
    someone, box = inbox(messages=3)
    box.make_up([message(number, policy="disconnect") for number in range(1, 11)])
    box.put(message(11, policy="disconnect"))
    assert ids(taken(box)) == list(range(1, 12)) and not someone.cuts
    for number in range(12, 16):
        box.put(message(number, policy="disconnect"))
    assert someone.cuts  # the old limit again


def test_a_gap_alone_is_told():
    someone, box = inbox()
    box.miss("a", 2, "overload")
    box.miss("a", None, "overload")
    assert someone.readies == 1
    assert gaps(taken(box)) == [("a", None, "overload")]


def test_nothing_comes_after_the_end():
    someone, box = inbox()
    box.close()
    box.put(message(1))
    box.miss("a", 1, "slow")
    box.make_up([message(2)])
    assert taken(box) == [] and someone.readies == 0


POLICY = {"a": "oldest", "b": "latest", "c": "oldest"}


@given(st.lists(st.one_of(st.sampled_from("abc"), st.integers(0, 3)), max_size=60), st.integers(1, 5))
def test_whatever_happens_what_is_taken_and_what_is_lost_is_all(steps, limit):
    someone, box = inbox(messages=limit)
    sent, got = dict.fromkeys("abc", 0), []
    for number, step in enumerate(steps):
        if isinstance(step, str):
            sent[step] += 1
            box.put(message(number, step, POLICY[step]))
            assert len(box._items) <= limit
        else:
            got += [box.take() for _ in range(step)]
    got = [item for item in [*got, *taken(box)] if item is not None]
    assert ids(got) == sorted(set(ids(got)))
    for topic, count in sent.items():
        had = sum(isinstance(item, Message) and item.topic == topic for item in got)
        assert had + sum(lost for name, lost, _ in gaps(got) if name == topic) == count
    assert not someone.cuts
    # Nobody waits for a word that has been given: told whenever there is something that was not taken to the end.
    before = someone.readies
    box.put(message(1000))
    assert someone.readies == before + 1


def test_the_json_of_a_message():
    made = Message('a"b', "e-1", 12.34567, encoded("a", {"é": [1, None, True]}))
    assert json.loads(made.text) == {"topic": 'a"b', "id": "e-1", "time": 12.346, "payload": {"é": [1, None, True]}}
    assert made.text is made.text and made.payload is made.payload
