"""What is kept of a topic, and what becomes of messages for which a subscriber is too slow: by pattern, as the application says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from hendrix.hey_joe.topics import REMEMBERED, check_pattern, is_exact, matches

POLICIES = ("oldest", "latest", "disconnect")

# Messages of a topic that its history may have.
MOST = 10_000


@dataclass(frozen=True)
class Rule:
    """For the topics of a pattern.

    :ivar history: messages of each topic that are kept, for those who come later or come back.
    :ivar age: seconds after which they are not.
    :ivar policy: what becomes of the messages that a subscriber does not take. ``oldest``: the oldest of them are dropped. ``latest``: of
        each topic only the latest is kept. ``disconnect``: the subscriber is disconnected with the code 4008. It always hears of the gap.
    """

    history: int = 0
    age: float = 3600.0
    policy: str = "oldest"

    def __post_init__(self) -> None:
        if isinstance(self.history, bool) or not isinstance(self.history, int) or not 0 <= self.history <= MOST:
            raise ValueError(f"history is a number of messages from 0 to {MOST}, not {self.history!r}")
        if isinstance(self.age, bool) or not isinstance(self.age, (int, float)) or not 0 < self.age < float("inf"):
            raise ValueError(f"age is a number of seconds above 0, not {self.age!r}")
        if self.policy not in POLICIES:
            raise ValueError(f"policy is one of {', '.join(POLICIES)}, not {self.policy!r}")


DEFAULT = Rule()


class Rules:
    """The rules by pattern. For each topic one holds: that of its own name, else the one with the most levels spelled out, of those the one
    with the most levels, of those the last that was given. One thread.
    """

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}
        self._found: dict[str, Rule] = {}

    def set(self, pattern: str, rule: Rule) -> None:
        self._rules.pop(check_pattern(pattern), None)  # to be the last
        self._rules[pattern] = rule
        self._found.clear()

    def of(self, topic: str) -> Rule:
        """The rule that holds for the topic."""
        rule = self._found.get(topic)
        if rule is None:
            if len(self._found) >= REMEMBERED:
                self._found.clear()
            rule = self._found[topic] = self._find(topic)
        return rule

    def data(self) -> dict[str, dict[str, Any]]:
        """As JSON can say it."""
        return {pattern: asdict(rule) for pattern, rule in self._rules.items()}

    def _find(self, topic: str) -> Rule:
        patterns = [pattern for pattern in self._rules if matches(pattern, topic)]
        return self._rules[max(reversed(patterns), key=_weight)] if patterns else DEFAULT


def _weight(pattern: str) -> tuple[bool, int, int]:
    levels = pattern.split(".")
    return is_exact(pattern), sum("*" not in level for level in levels), len(levels)
