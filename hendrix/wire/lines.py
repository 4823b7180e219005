"""JSON lines: one object a line, in UTF-8, which is how the parts of hendrix talk to each other and to those who look after it.

RFC 8259, with a line feed after each object; a carriage return before it does no harm, and an empty line is no message.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from hendrix.errors import PeerError

# Bytes of one line. Most have a hundred; the tree of a large site has some thousands.
LIMIT = 1 << 20


def encode(message: Mapping[str, Any]) -> bytes:
    """A message as a line. It is ASCII, so that no text can break it.

    :raises TypeError: for what JSON cannot say.
    :raises ValueError: for what it cannot say either: infinity, and what contains itself.
    """
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


class LineReader:
    """Messages out of bytes, however these were cut.

    :param limit: the longest line, in bytes.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._searched = 0

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """The messages that are whole now.

        :raises PeerError: from the iteration, at the line that is no message: 400, or 413 when it is too long. What came before it
            has been given; what stands behind a 400 waits for the next `feed`, also of nothing. After a 413 nothing more is read.
        """
        self._buffer += data
        return self._messages()

    def _messages(self) -> Iterator[dict[str, Any]]:
        while (line := self._line()) is not None:
            if line.strip():
                yield _object(line)

    def _line(self) -> bytes | None:
        buffer = self._buffer
        end = buffer.find(b"\n", self._searched)
        if (len(buffer) if end < 0 else end) > self._limit:
            raise PeerError(413, f"the line is longer than {self._limit} bytes")
        self._searched = len(buffer) if end < 0 else 0
        if end < 0:
            return None
        line = bytes(buffer[:end])
        del buffer[: end + 1]
        return line


def _object(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line.decode("utf-8"), parse_constant=_not_json)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise PeerError(400, "the line is not a JSON object")
    return message


def _not_json(constant: str) -> NoReturn:
    raise ValueError(constant)
