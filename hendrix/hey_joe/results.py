"""Results of work, kept in the hub under their ids, so that any process of the tree can ask what became of it. Reactor thread.

A result is what its process says of it: one JSON object when it begins, and later ones whose values take the place of those before.
While it is under way it is kept whatever happens; of those that have ended, so many as their store wants, and `CHARACTERS` in all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

# Characters of ended results, in all stores. Above it those that ended first go first.
CHARACTERS = 64 << 20

Key = tuple[str, str]


class _Kept:
    __slots__ = ("first", "last", "lost_at", "owner")

    def __init__(self, owner: Hashable, text: str) -> None:
        self.owner: Hashable | None = owner
        self.first, self.last = text, "{}"
        self.lost_at: float | None = None

    @property
    def size(self) -> int:
        return len(self.first) + len(self.last)


class Results:
    """
    :param clock: seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float], characters: int = CHARACTERS) -> None:
        self._clock, self._most = clock, characters
        self._under_way: dict[Key, _Kept] = {}
        self._ended: OrderedDict[Key, _Kept] = OrderedDict()
        self._counts: dict[str, int] = {}
        self._limits: dict[str, int] = {}
        self._size = 0

    def __len__(self) -> int:
        return len(self._under_way) + len(self._ended)

    def put(self, owner: Hashable, store: str, id: str, keep: int | None, text: str) -> None:
        """Its process says how it is.

        :param keep: it has ended, and so many ended ones of its store are kept; None while it is under way.
        """
        key = (store, id)
        kept = self._under_way.get(key)
        if kept is None:
            if key in self._ended:
                return  # nothing follows an end
            kept = self._under_way[key] = _Kept(owner, text)
        else:
            kept.last = text
        if keep is not None:
            self._limits[store] = keep
            self._end(key)

    def gone(self, owner: Hashable) -> None:
        """A process has ended, and what it had under way with it."""
        for key in [key for key, kept in self._under_way.items() if kept.owner is owner]:
            self._under_way[key].lost_at = self._clock()
            self._end(key)

    def get(self, store: str, id: str) -> list[str | float | None]:
        """Its first text, its last one, and when its process was lost, None if it was not. Empty for one that is not here."""
        kept = self._under_way.get((store, id)) or self._ended.get((store, id))
        return [kept.first, kept.last, kept.lost_at] if kept is not None else []

    def _end(self, key: Key) -> None:
        store = key[0]
        kept = self._under_way.pop(key)
        kept.owner = None
        self._ended[key] = kept
        self._size += kept.size
        self._counts[store] = self._counts.get(store, 0) + 1
        if self._counts[store] > self._limits.get(store, self._counts[store]):
            self._drop(next(key for key in self._ended if key[0] == store))
        while self._size > self._most:
            self._drop(next(iter(self._ended)))

    def _drop(self, key: Key) -> None:
        self._size -= self._ended.pop(key).size
        self._counts[key[0]] -= 1
