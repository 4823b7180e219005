"""Who is there: the subscribers of each topic, under the names that they have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from typing import Any


class Presence:
    """One thread.

    A member is a subscriber; ``who`` is its name, None if it has none. Several may have the same: a person who looks at a page twice.
    """

    def __init__(self) -> None:
        self._topics: dict[str, dict[Hashable, str | None]] = {}
        self._names: dict[str, Counter[str]] = {}

    def join(self, topic: str, member: Hashable, who: str | None) -> bool:
        """The member is there. Whether nobody of that name was."""
        members = self._topics.setdefault(topic, {})
        if member in members:
            return False
        members[member] = who
        if who is None:
            return True
        names = self._names.setdefault(topic, Counter())
        names[who] += 1
        return names[who] == 1

    def leave(self, topic: str, member: Hashable) -> tuple[str | None, bool]:
        """The member is no longer there. Its name, and whether nobody of that name is."""
        members = self._topics.get(topic, {})
        if member not in members:
            return None, False
        who = members.pop(member)
        if not members:
            del self._topics[topic]
        if who is None:
            return None, True
        names = self._names[topic]
        names[who] -= 1
        if not names[who]:
            del names[who]
            if not names:
                del self._names[topic]
            return who, True
        return who, False

    def of(self, topic: str) -> dict[str, Any]:
        """``connections``, how many subscribers there are, and ``who``, the names among them."""
        return {"connections": len(self._topics.get(topic, ())), "who": list(self._names.get(topic, ()))}

    def count(self, topic: str) -> int:
        return len(self._topics.get(topic, ()))

    def __iter__(self) -> Iterator[str]:
        return iter(self._topics)

    def __len__(self) -> int:
        """How many topics have a subscriber."""
        return len(self._topics)
