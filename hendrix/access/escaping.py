"""Text of strangers, made fit for one line of printable ASCII: `escaped`, or `quoted` as JSON."""

from __future__ import annotations

import re
from json.encoder import encode_basestring_ascii as quoted
from typing import Final

__all__ = ["escaped", "quoted"]

_UNSAFE: Final = re.compile(r"[^ !#-\[\]-~]")
# Texts that are remembered, and the characters of one: clients repeat themselves.
MOST, LONGEST = 1000, 400

_known: dict[str, str] = {}


def escaped(text: str) -> str:
    """As Apache does it: a backslash before quotes and backslashes, and ``\\xhh`` for what is not printable ASCII."""
    known = _known.get(text)
    return known if known is not None else _learn(text)


def _learn(text: str) -> str:
    result = text if _UNSAFE.search(text) is None else _UNSAFE.sub(_escape, text)
    if len(text) <= LONGEST:
        if len(_known) >= MOST:
            _known.clear()
        _known[text] = result
    return result


def _escape(match: re.Match[str]) -> str:
    """Wider characters than Apache knows are written as Python does."""
    character = match[0]
    if character in '"\\':
        return "\\" + character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
