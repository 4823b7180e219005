"""Names, patterns, and the index, against a plain reading of the rule."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from hendrix.hey_joe import topics
from hendrix.hey_joe.topics import BadTopic, Index, check_pattern, check_topic, matches

LEVELS = st.sampled_from(["a", "b", "c"])
NAMES = st.builds(lambda own, levels: own + ".".join(levels), st.sampled_from(["", "", "$"]), st.lists(LEVELS, min_size=1, max_size=4))
PATTERNS = st.builds(
    lambda own, levels, rest: (own if levels and levels[0] != "*" else "") + ".".join([*levels, *rest] or ["**"]),
    st.sampled_from(["", "", "$"]),
    st.lists(st.sampled_from(["a", "b", "*"]), max_size=3),
    st.sampled_from([[], ["**"]]),
)


def plainly(pattern, topic):
    """The rule as a regular expression."""
    if topic.startswith("$") and not pattern.startswith("$"):
        return False
    levels = {"*": "[^.]+", "**": ".+"}
    return re.fullmatch(r"\.".join(levels.get(level, re.escape(level)) for level in pattern.split(".")), topic) is not None


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("chat.lobby", "chat.lobby", True),
        ("chat.*", "chat.lobby", True),
        ("chat.*", "chat", False),
        ("chat.*", "chat.lobby.x", False),
        ("*.lobby", "chat.lobby", True),
        ("chat.**", "chat.a.b", True),
        ("chat.**", "chat", False),
        ("**", "chat.a.b", True),
        ("**", "$presence.a", False),
        ("*.a", "$presence.a", False),
        ("$presence.**", "$presence.a", True),
    ],
)
def test_what_a_pattern_matches(pattern, topic, expected):
    assert matches(pattern, topic) is expected


@given(PATTERNS, NAMES)
def test_matching_is_the_rule(pattern, topic):
    assert matches(check_pattern(pattern), check_topic(topic, own=True)) == plainly(pattern, topic)


@given(st.lists(st.tuples(st.booleans(), PATTERNS, st.integers(0, 3)), max_size=30), st.lists(NAMES, min_size=1, max_size=5))
def test_the_index_finds_each_value_once(changes, names):
    index, there = Index(), set()
    for add, pattern, value in changes:
        (index.add if add else index.discard)(pattern, value)
        (there.add if add else there.discard)((pattern, value))
        for name in names:
            found = index.match(name)
            assert set(found) == {value for pattern, value in there if plainly(pattern, name)}
            assert len(set(found)) == len(found)
    assert bool(index) == bool(there)


def test_the_index_does_not_remember_every_topic(monkeypatch):
    monkeypatch.setattr(topics, "REMEMBERED", 10)
    index = Index()
    index.add("**", 1)
    for number in range(100):
        assert index.match(f"t{number}") == (1,)
    assert len(index._heard) <= 10


@pytest.mark.parametrize("name", ["a", "chat.lobby", "stock.ACME", "user.ann@example.org", "a:b/c~d+e=f,g-h_i", "chat.café", "x" * 255])
def test_names(name):
    assert check_topic(name) == name == check_pattern(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "a.", ".a", "a..b", "a b", "a\n", "chat.*", "**", "a\x00", "x" * 256, "$", "a.$b", "#", "a>b", None, 7, b"a", "\ud800"],
)
def test_what_is_no_name(name):
    with pytest.raises(BadTopic) as caught:
        check_topic(name)
    assert caught.value.status == 400 and "\n" not in str(caught.value) and len(str(caught.value)) < 400
    assert isinstance(caught.value, ValueError)


def test_the_hub_has_topics_of_its_own():
    with pytest.raises(BadTopic, match=re.escape("$presence.a: topics with a $ are the hub's own")):
        check_topic("$presence.a")
    assert check_topic("$presence.a", own=True) == "$presence.a"


@pytest.mark.parametrize("pattern", ["", "a*", "a.**.b", "***", "*.**.*", "a..*", "* ", "**.a"])
def test_what_is_no_pattern(pattern):
    with pytest.raises(BadTopic, match="a pattern is a topic in which"):
        check_pattern(pattern)
