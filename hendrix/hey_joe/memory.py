"""What a hub remembers of its topics: where each stands, and the messages that its rule keeps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from itertools import takewhile
from secrets import token_hex

from hendrix.hey_joe.message import HISTORY, Gap, Message
from hendrix.hey_joe.rules import Rule
from hendrix.hey_joe.topics import is_exact, matches

# Characters of payloads that all histories have together. Above it the topic that has been silent for the longest loses its history.
CHARACTERS = 64 << 20

# Topics of which the last offset is known. Above it the one that has been silent for the longest is forgotten.
TOPICS = 20_000


def new_epoch() -> str:
    """What tells the ids of one hub, or one engine, from those of all others."""
    return token_hex(5)


class _Past:
    """Of one topic.

    :ivar kept: the messages that its history has, with their offsets.
    :ivar last: the offset of its last message.
    :ivar lost: the offset of the last message that it no longer has.
    """

    __slots__ = ("age", "kept", "last", "lost")

    def __init__(self, lost: int) -> None:
        self.kept: deque[tuple[int, Message]] = deque()
        self.age = 0.0
        self.last = self.lost = lost


class History:
    """Gives each message its place, and tells later what came after one. One thread.

    :param clock: seconds since 1970.
    :param epoch: tells the ids of this one from those of all others.
    """

    def __init__(self, clock: Callable[[], float], epoch: str = "", characters: int = CHARACTERS, topics: int = TOPICS) -> None:
        self._clock, self._characters, self._most = clock, characters, topics
        self.epoch = epoch or new_epoch()
        self.offset = 0
        self.size = 0  # characters that are kept
        self._forgotten = 0  # no message after this one was of a topic that is not among these
        self._pasts: dict[str, _Past] = {}  # the one that has been silent for the longest comes first

    @property
    def position(self) -> str:
        """The id of the last message."""
        return f"{self.epoch}-{self.offset}"

    @property
    def kept(self) -> int:
        """How many messages all histories have."""
        return sum(len(past.kept) for past in self._pasts.values())

    def append(self, topic: str, payload_text: str, rule: Rule) -> Message:
        """The message for a payload; kept if the rule says so."""
        message = self.made(topic, payload_text)
        past = self._pasts.pop(topic, None) or _Past(self._forgotten)
        self._pasts[topic] = past
        past.age, past.last = rule.age, self.offset
        if rule.history:
            past.kept.append((self.offset, message))
            self.size += message.size
        else:
            past.lost = self.offset
        while len(past.kept) > rule.history:
            self._drop(past)
        self._expire(past)
        self._forget()
        return message

    def made(self, topic: str, payload_text: str) -> Message:
        """A message with the next id."""
        self.offset += 1
        return Message(topic, self.position, self._clock(), payload_text)

    def after(self, patterns: Mapping[str, str]) -> tuple[list[Message], list[Gap]]:
        """What has come after the id that is given for each pattern, in order, each message once; and the gaps in it."""
        found: dict[int, Message] = {}
        gaps = []
        for pattern, id in patterns.items():
            since = self._offset_of(id)
            pasts = self._changed(pattern, since)
            for past in pasts:
                self._expire(past)
                found.update(each for each in past.kept if each[0] > since)
            forgotten = self._forgotten if pattern not in self._pasts else 0
            if since < max([forgotten, *(past.lost for past in pasts)]):
                gaps.append(Gap(pattern, None, HISTORY))
        return [found[offset] for offset in sorted(found)], gaps

    def of(self, topic: str) -> list[Message]:
        """What is kept of a topic."""
        past = self._pasts.get(topic)
        if past is None:
            return []
        self._expire(past)
        return [message for _, message in past.kept]

    def sweep(self) -> None:
        """Let go of what is too old."""
        for past in self._pasts.values():
            if past.kept:
                self._expire(past)

    def _offset_of(self, id: str) -> int:
        """Whoever has an id of another epoch has seen nothing of this one, and has missed what came of his own: -1."""
        epoch, _, offset = id.rpartition("-")
        if epoch == self.epoch and offset.isascii() and offset.isdigit() and len(offset) < 20:
            return min(int(offset), self.offset)
        return -1

    def _changed(self, pattern: str, since: int) -> list[_Past]:
        """Of the topics that match and have had a message since."""
        if is_exact(pattern):
            return [self._pasts[pattern]] if pattern in self._pasts else []
        changed = takewhile(lambda each: each[1].last > since, reversed(self._pasts.items()))
        return [past for topic, past in changed if matches(pattern, topic)]

    def _expire(self, past: _Past) -> None:
        before = self._clock() - past.age
        while past.kept and past.kept[0][1].time < before:
            self._drop(past)

    def _drop(self, past: _Past) -> None:
        offset, message = past.kept.popleft()
        past.lost = max(past.lost, offset)
        self.size -= message.size

    def _forget(self) -> None:
        while len(self._pasts) > self._most:
            past = self._pasts.pop(next(iter(self._pasts)))
            while past.kept:
                self._drop(past)
            self._forgotten = max(self._forgotten, past.lost)
        if self.size > self._characters:
            for past in self._pasts.values():
                while past.kept and self.size > 0.9 * self._characters:  # some more, not to look at all topics for each message
                    self._drop(past)
