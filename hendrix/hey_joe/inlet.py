"""The way in: any thread puts entries, and the reactor takes them; bounded, and it knows what did not fit."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from hendrix.hey_joe.uplink import Entry

# Entries, and characters of their payloads, that may wait for the reactor or for the hub.
ENTRIES, CHARACTERS = 50_000, 64 << 20


class Inlet:
    """
    :param wake: called, on any thread, when there is something to `take`; not again before it was taken.
    """

    def __init__(self, wake: Callable[[], object], entries: int = ENTRIES, characters: int = CHARACTERS) -> None:
        self._wake, self._most, self._characters = wake, entries, characters
        # Guards all below. Reentrant: the garbage collector may drop a task on a thread that is in here, and its result is told of that.
        self._lock = threading.RLock()
        self._entries: list[Entry] = []
        self._missed: Counter[tuple[str, str]] = Counter()
        self._size = 0
        self._woken = False

    def put(self, entry: Entry, size: int = 0) -> bool:
        """Add an entry (any thread). If there is no room it is left out, which `take` will tell: False.

        :param size: characters of its payload.
        """
        with self._lock:
            fits = not self._missed and len(self._entries) < self._most and self._size + size <= self._characters
            if fits:
                self._entries.append(entry)
                self._size += size
            else:
                self._missed[entry[0], entry[1]] += 1
            wake = not self._woken
            self._woken = True
        if wake:
            self._wake()
        return fits

    def take(self) -> tuple[list[Entry], Counter[tuple[str, str]]]:
        """What has come, and how many entries came after it and were left out, by their first two elements."""
        with self._lock:
            taken = self._entries, self._missed
            self._entries, self._missed = [], Counter()
            self._size = 0
            self._woken = False
        return taken
