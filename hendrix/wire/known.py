"""Heads that were read before, byte for byte. Most clients repeat themselves: the same fields for each request of a connection, the same
few targets for each visitor. What bytes mean does not change, so what has passed all checks once is looked up.

The request line and the field lines are known apart, so that one client's fields serve for all its targets. Both are bounded, and only a
connection that lives on teaches: who comes once, or never says the same again, puts out nobody for long.
"""

from __future__ import annotations

from typing import Any

# Request lines and field sections that are remembered, and the bytes of one: more than most browsers send.
LINES, LONGEST_LINE = 1000, 512
SECTIONS, LARGEST_SECTION = 256, 2048

Line = tuple[str, str]
Section = tuple[dict[str, Any], "dict[str, str] | None"]


class KnownHeads:
    """For parsers that start from the same ``base``. Any thread.

    :ivar lines: method and target, by the request line without its end; of HTTP/1.1 and origin-form only.
    :ivar sections: the fields, and those that only a trusted proxy may set, by the bytes from the end of the request line to the end
        of the head. None of them says anything of content, of an expectation or of the connection.
    """

    __slots__ = ("lines", "sections")

    def __init__(self) -> None:
        self.lines: dict[bytes, Line] = {}
        self.sections: dict[bytes, Section] = {}

    def learn(self, head: bytes, line: Line, section: Section) -> None:
        """``head`` has passed all checks, and this is what it says."""
        middle = head.find(b"\r\n")
        if middle > LONGEST_LINE or len(head) - middle > LARGEST_SECTION:
            return
        for known, most, key, value in ((self.lines, LINES, head[:middle], line), (self.sections, SECTIONS, head[middle:], section)):
            if len(known) >= most:
                known.clear()
            known[key] = value  # type: ignore[assignment]
