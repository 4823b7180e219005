"""Names of topics, patterns over them, and who is to hear of a topic.

A topic is levels between full stops, ``chat.lobby``. In a pattern a level may be ``*``, which stands for any one level, and the last may be
``**``, which stands for all that follow, one at least. Topics whose name begins with ``$`` are the hub's own: it publishes on them, and a
pattern matches them only where it begins with ``$`` too.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Generic, TypeVar

from hendrix.errors import PeerError

# Characters of a name.
LONGEST = 255

# Topics of which an `Index` remembers who hears of them.
REMEMBERED = 10_000

_LEVEL = r"[\w\-:@/~+=,]+"
_TOPIC = re.compile(rf"\$?{_LEVEL}(?:\.{_LEVEL})*")
_PATTERN = re.compile(rf"(?:\*\*|(?:\*|\$?{_LEVEL})(?:\.(?:\*|{_LEVEL}))*(?:\.\*\*)?)")

Value = TypeVar("Value")


class BadTopic(PeerError, ValueError):
    """That is no name of a topic, or no pattern: status 400."""

    def __init__(self, reason: str) -> None:
        super().__init__(400, reason)


@lru_cache(4096)
def check_topic(name: str, own: bool = False) -> str:
    """The name, if it is one (any thread).

    :param own: it may be one of the hub's own, with ``$``.
    :raises BadTopic: it is not.
    """
    _check(name, _TOPIC, "a topic is levels of letters, digits and _-:@/~+=, between full stops, as in chat.lobby")
    if name[0] == "$" and not own:
        raise BadTopic(f"{name}: topics with a $ are the hub's own: one can subscribe to them and not publish")
    return name


@lru_cache(4096)
def check_pattern(pattern: str) -> str:
    """The pattern, if it is one; each topic is (any thread).

    :raises BadTopic: it is not.
    """
    return _check(pattern, _PATTERN, "a pattern is a topic in which a level may be *, and the last one **, as in chat.* or orders.**")


def _check(name: Any, grammar: re.Pattern[str], rule: str) -> str:
    if not isinstance(name, str):
        raise BadTopic(f"a topic is text, not {name!r:.100}")
    if len(name) > LONGEST:
        raise BadTopic(f"{name[:40]}...: the name of a topic has at most {LONGEST} characters, and this has {len(name)}")
    if not grammar.fullmatch(name):
        raise BadTopic(f"{name!r}: {rule}")
    return name


def is_exact(pattern: str) -> bool:
    """Whether it is the name of one topic."""
    return "*" not in pattern


def matches(pattern: str, topic: str) -> bool:
    """Whether the pattern, which is one, matches the topic."""
    if is_exact(pattern):
        return pattern == topic
    if topic[0] == "$" and pattern[0] != "$":
        return False
    wanted, levels = pattern.split("."), topic.split(".")
    if wanted[-1] == "**":
        wanted.pop()
        if len(levels) <= len(wanted):
            return False
    elif len(levels) != len(wanted):
        return False
    return all(want in ("*", level) for want, level in zip(wanted, levels))


class Index(Generic[Value]):
    """Values by pattern. To find all whose patterns match a topic is one look into a dict when nothing has changed, and a walk down a tree
    of levels otherwise. One thread.
    """

    def __init__(self) -> None:
        self._exact: dict[str, dict[Value, None]] = {}
        self._tree = _Node[Value]()
        self._heard: dict[str, tuple[Value, ...]] = {}

    def add(self, pattern: str, value: Value) -> None:
        """The value has this pattern, too."""
        if is_exact(pattern):
            self._exact.setdefault(pattern, {})[value] = None
            self._heard.pop(pattern, None)
        else:
            self._tree.at(pattern).values[value] = None
            self._heard.clear()

    def discard(self, pattern: str, value: Value) -> None:
        """The value has no longer this pattern."""
        if is_exact(pattern):
            values = self._exact.get(pattern, {})
            values.pop(value, None)
            if not values:
                self._exact.pop(pattern, None)
            self._heard.pop(pattern, None)
        else:
            self._tree.discard(pattern.split("."), value)
            self._heard.clear()

    def match(self, topic: str) -> tuple[Value, ...]:
        """The values whose patterns match the topic, each once; those with the topic itself first. It does not change any more."""
        found = self._heard.get(topic)
        if found is None:
            values = dict(self._exact.get(topic, ()))
            levels = topic.split(".")
            self._tree.collect(levels, 0, values)
            if len(self._heard) >= REMEMBERED:
                self._heard.clear()
            found = self._heard[topic] = tuple(values)
        return found

    def __bool__(self) -> bool:
        return bool(self._exact) or not self._tree.empty

    @property
    def topics(self) -> int:
        """How many topics have a value of their own."""
        return len(self._exact)


class _Node(Generic[Value]):
    """A level of the patterns with wildcards."""

    __slots__ = ("below", "values")

    def __init__(self) -> None:
        self.below: dict[str, _Node[Value]] = {}
        self.values: dict[Value, None] = {}

    @property
    def empty(self) -> bool:
        return not (self.below or self.values)

    def at(self, pattern: str) -> _Node[Value]:
        node = self
        for level in pattern.split("."):
            node = node.below.setdefault(level, _Node())
        return node

    def discard(self, levels: list[str], value: Value) -> None:
        if not levels:
            self.values.pop(value, None)
        elif levels[0] in self.below:
            below = self.below[levels[0]]
            below.discard(levels[1:], value)
            if below.empty:
                del self.below[levels[0]]

    def collect(self, levels: list[str], depth: int, found: dict[Value, None]) -> None:
        if depth == len(levels):
            found.update(self.values)
            return
        below = self.below
        if not below:
            return
        level = levels[depth]
        any_level = not (depth == 0 and level[0] == "$")
        if any_level and "**" in below:
            found.update(below["**"].values)
        for wanted in (level, "*") if any_level else (level,):
            if wanted in below:
                below[wanted].collect(levels, depth + 1, found)
