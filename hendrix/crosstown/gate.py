"""The gate: status codes that stop the tasks of a response.

A code is a number (``404``), three digits (``"404"``), a class (``"5xx"``), a range with both ends (``"400-405"``), or a Python
``range``, which leaves its end out. A list of codes replaces the default; an empty one stops nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TypeAlias

Code: TypeAlias = "int | str | range"

DEFAULT: tuple[Code, ...] = ("4xx", "5xx")
GRAMMAR = 'a status code is 404, "404", "4xx", "400-405" or range(400, 406)'

_DIGITS = re.compile(r"[1-9][0-9]{2}")
_CLASS = re.compile(r"([1-9])xx", re.IGNORECASE)
_RANGE = re.compile(r"([1-9][0-9]{2})\s*-\s*([1-9][0-9]{2})")

_DEFAULT = frozenset(range(400, 600))

_parsed: dict[tuple[tuple[Code, ...], tuple[type, ...]], frozenset[int]] = {}


def parse(codes: Iterable[Code] | Code) -> frozenset[int]:
    """The status codes, 100 to 999, that are meant.

    :raises ValueError: for what is no code; the message shows the grammar.
    """
    if codes is DEFAULT:
        return _DEFAULT
    try:
        given = (codes,) if isinstance(codes, (int, str, range)) else tuple(codes)
    except TypeError:
        raise ValueError(f"{codes!r} is no list of status codes: {GRAMMAR}") from None
    key = (given, tuple(map(type, given)))  # 200.0 equals 200, and is no code
    try:
        found = _parsed.get(key)
    except TypeError:
        found = None
    if found is None:
        found = frozenset(number for code in given for number in _numbers(code))
        if len(_parsed) < 1000:
            _parsed[key] = found
    return found


def _numbers(code: Code) -> Iterator[int]:
    if isinstance(code, range):
        numbers: Iterable[int] = code
    elif isinstance(code, int) and not isinstance(code, bool):
        numbers = (code,)
    elif isinstance(code, str) and _DIGITS.fullmatch(code):
        numbers = (int(code),)
    elif isinstance(code, str) and (match := _CLASS.fullmatch(code)):
        numbers = range(int(match[1]) * 100, int(match[1]) * 100 + 100)
    elif isinstance(code, str) and (match := _RANGE.fullmatch(code)) and match[1] <= match[2]:
        numbers = range(int(match[1]), int(match[2]) + 1)
    else:
        raise ValueError(f"{code!r} is no status code: {GRAMMAR}")
    for number in numbers:
        if not 100 <= number <= 999:
            raise ValueError(f"{code!r} is no status code: {GRAMMAR}")
        yield number
