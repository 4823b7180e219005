"""What a hub remembers: what was missed, or word that it is not known any more."""

from __future__ import annotations

from hubs import Clock
from hypothesis import given, strategies as st

from hendrix.hey_joe.memory import History
from hendrix.hey_joe.rules import Rule
from hendrix.hey_joe.topics import matches


def history(**limits):
    clock = Clock()
    return clock, History(clock, "e", **limits)


def fill(past, topic, count, rule):
    return [past.append(topic, f'"{number}"', rule) for number in range(count)]


def after(past, **patterns):
    messages, gaps = past.after({name.replace("_", "*"): id for name, id in patterns.items()})
    return [message.id for message in messages], [gap.topic for gap in gaps]


def test_ids_grow_over_all_topics():
    _, past = history()
    assert past.position == "e-0"
    assert [past.append(topic, "1", Rule()).id for topic in "aba"] == ["e-1", "e-2", "e-3"]
    assert past.position == "e-3"


def test_what_was_missed_comes_in_order_and_once():
    _, past = history()
    for topic in ("a", "b", "a", "b"):
        past.append(topic, "1", Rule(history=10))
    assert after(past, a="e-1", b="e-1", _="e-2") == (["e-2", "e-3", "e-4"], [])
    assert after(past, a="e-4", b="e-4") == ([], [])
    assert after(past, c="e-0") == ([], [])


def test_what_is_kept_is_limited_by_count_and_the_rest_is_a_gap():
    _, past = history()
    fill(past, "a", 5, Rule(history=3))
    assert after(past, a="e-1") == (["e-3", "e-4", "e-5"], ["a"])
    assert after(past, a="e-2") == (["e-3", "e-4", "e-5"], [])
    assert past.kept == 3


def test_what_is_kept_is_limited_by_age():
    clock, past = history()
    fill(past, "a", 2, Rule(history=10, age=60))
    clock.now += 61
    fill(past, "a", 1, Rule(history=10, age=60))
    assert after(past, a="e-0") == (["e-3"], ["a"])
    clock.now += 61
    past.sweep()
    assert past.kept == past.size == 0
    assert after(past, a="e-3") == ([], [])
    assert after(past, a="e-2") == ([], ["a"])


def test_without_a_history_there_is_a_gap_if_there_was_a_message():
    _, past = history()
    fill(past, "a", 2, Rule())
    assert after(past, a="e-2") == ([], [])
    assert after(past, a="e-1") == ([], ["a"])
    assert after(past, b="e-0") == ([], [])
    assert after(past, _="e-1") == ([], ["*"])
    assert after(past, _="e-2") == ([], [])


def test_an_id_of_another_epoch_is_before_everything():
    _, past = history()
    assert after(past, a="other-7") == ([], ["a"])
    fill(past, "a", 1, Rule(history=5))
    for id in ("other-7", "", "e", "e-", "e-x", "e--1", "e-１", "e-" + "9" * 30):
        assert after(past, a=id) == (["e-1"], ["a"]), id
    assert after(past, a="e-99") == ([], [])


def test_topics_that_are_silent_for_long_are_forgotten_and_that_is_a_gap():
    _, past = history(topics=2)
    for topic in "abc":
        past.append(topic, "1", Rule(history=5))
    assert after(past, a="e-0") == ([], ["a"])
    assert after(past, a="e-1") == ([], [])
    assert after(past, b="e-0") == (["e-2"], [])
    assert after(past, _="e-0")[1] == ["*"]
    past.append("a", "1", Rule(history=5))  # it comes back, and b is forgotten
    assert after(past, a="e-0") == (["e-4"], ["a"])
    assert after(past, a="e-1") == (["e-4"], [])


def test_characters_are_limited_over_all_topics():
    _, past = history(characters=1000)
    for number in range(20):
        past.append(f"t{number % 4}", "x" * 100, Rule(history=100))
        assert past.size <= 1000
    assert past.kept >= 8
    messages, gaps = past.after({"*": "e-0"})
    assert [int(message.id[2:]) for message in messages] == sorted(int(message.id[2:]) for message in messages) and gaps
    assert past.of("t3")[-1].id == "e-20"


TOPICS = st.sampled_from(["a.x", "a.y", "b"])


@given(
    st.lists(st.tuples(TOPICS, st.integers(0, 3)), max_size=40),
    st.dictionaries(st.sampled_from(["a.x", "a.y", "b", "a.*", "*", "**"]), st.integers(0, 40), min_size=1),
    st.integers(1, 4),
)
def test_whatever_is_not_there_is_a_gap(published, since, topics):
    _, past = history(topics=topics)
    sent = [past.append(topic, "1", Rule(history=keep)) for topic, keep in published]
    since = {pattern: min(offset, len(sent)) for pattern, offset in since.items()}
    messages, gaps = past.after({pattern: f"e-{offset}" for pattern, offset in since.items()})
    offsets = [int(message.id[2:]) for message in messages]
    assert offsets == sorted(set(offsets))
    for pattern, offset in since.items():
        missed = {message.id for message in sent[offset:] if matches(pattern, message.topic)}
        assert missed <= {message.id for message in messages} or pattern in {gap.topic for gap in gaps}
    for message in messages:
        assert any(matches(pattern, message.topic) and int(message.id[2:]) > offset for pattern, offset in since.items())
