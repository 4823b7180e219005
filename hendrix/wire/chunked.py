"""Content in chunks (RFC 9112 section 7.1). Bytes in, content out.

Each line is matched as a whole against the grammar of the RFC, the white space included that a recipient has to bear; what does not
match is refused. Extensions and trailers are read, and dropped: RFC 9110 section 6.5 forbids to merge trailers into the fields, and
WSGI has no other place for them.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from hendrix.errors import PeerError
from hendrix.wire.fields import FORBIDDEN_TRAILERS, MAX_FIELDS, cgi_name

# Bytes of chunk framing with no content in between: one chunk line with its extensions (section 7.1.1), or the trailers.
MAX_FRAMING = 16384
# The same for each byte of content: a chunk of one byte needs five, and may say something about it.
FRAMING_RATIO = 64

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
QUOTED = rb'"(?:[\t\x20-\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"'
EXTENSION = rb"[\t ]*;[\t ]*%b(?:[\t ]*=[\t ]*(?:%b|%b))?" % (TOKEN, TOKEN, QUOTED)
FIRST = re.compile(rb"([0-9A-Fa-f]+)(?:%b)*\r\n" % EXTENSION)
NEXT = re.compile(rb"\r\n" + FIRST.pattern)
# What may become one of these when more comes.
PART_OF_FIRST = re.compile(rb"(?:[0-9A-Fa-f]+(?:[\t ;][^\r\n]*)?\r?)?")
PART_OF_NEXT = re.compile(rb"\r|\r\n" + PART_OF_FIRST.pattern)
FIELD = re.compile(rb"(%b):[\t\x20-\x7e\x80-\xff]*\r\n" % TOKEN)


class ChunkedContent:
    """Feed it what was read. Raises `PeerError` for what must be refused.

    :param write: takes the content, a piece at a time.
    :ivar ended: the last chunk and the trailers have come.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self.ended = False
        self._line, self._part = FIRST, PART_OF_FIRST
        self._held = b""
        self._last = False
        self._left = self._content = self._framing = self._trailers = self._number = 0

    def feed(self, data: bytes, at: int) -> int:
        """Take ``data`` from index ``at`` on. Returns the index at which the content ends in it, or that of its end."""
        held, self._held = self._held, b""
        if held:
            more = data[at:]
            if b"\n" not in more:  # the line has not come to its end
                self._hold(held + more)
                return len(data)
            shift, data, at = at - len(held), held + more, 0
        else:
            shift = 0
        end = len(data)
        while at < end and not self.ended:
            if self._left:
                piece = data[at : at + self._left]
                self._write(piece)
                at += len(piece)
                self._left -= len(piece)
                self._content += len(piece)
            else:
                at = self._read_trailer(data, at) if self._last else self._read_line(data, at)
        return at + shift

    def _read_line(self, data: bytes, at: int) -> int:
        """The end of the chunk before, and the size of the next."""
        match = self._line.match(data, at)
        if match is None:
            self._hold(data[at:])
            return len(data)
        digits, end = match[1], match.end()
        if len(digits) > 16 and len(digits.lstrip(b"0")) > 16:
            raise PeerError(400, "the size of a chunk is too large")
        self._framing += end - at
        if self._framing > MAX_FRAMING:
            self._check_limits()
        self._left = left = int(digits, 16)
        self._last = not left
        self._line, self._part = NEXT, PART_OF_NEXT
        return end

    def _read_trailer(self, data: bytes, at: int) -> int:
        """A trailer, or the empty line after the last."""
        if data.startswith(b"\r\n", at):
            self.ended = True
            return at + 2
        match = FIELD.match(data, at)
        if match is None:
            if data.find(b"\n", at) >= 0:
                raise PeerError(400, "a trailer is malformed")
            self._hold(data[at:])
            return len(data)
        if cgi_name(match[1]) in FORBIDDEN_TRAILERS:
            raise PeerError(400, f"{match[1].decode('ascii')} may not be a trailer")
        self._trailers += match.end() - at
        self._number += 1
        self._check_limits()
        return match.end()

    def _hold(self, data: bytes) -> None:
        """Wait for the rest of a line."""
        if not self._last and not self._part.fullmatch(data):
            raise PeerError(400, "a chunk does not begin with its size, or does not end with CRLF")
        self._held = data
        self._check_limits()

    def _check_limits(self) -> None:
        held = len(self._held)
        if self._last:
            if self._number > MAX_FIELDS or self._trailers + held > MAX_FRAMING:
                raise PeerError(431, "the trailers are too many or too large")
        elif self._framing + held > MAX_FRAMING + FRAMING_RATIO * self._content:
            raise PeerError(400, "the framing of the chunks is too large")
