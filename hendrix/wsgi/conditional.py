"""Whether a request wants a representation, and which part of it (RFC 9110 sections 13 and 14). Knows fields and values, no files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import Any

_ETAG = re.compile(r'(?:W/)?"[^"]*"')
# One range of bytes. Several at once would be multipart/byteranges: they may be ignored (section 14.2), and then all of it is sent.
_RANGE = re.compile(r"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*", re.ASCII | re.IGNORECASE)


class Unsatisfiable(ValueError):
    """The range begins behind the end."""


def precondition(environ: Mapping[str, Any], etag: str, modified: int) -> int:
    """304 or 412 if that is all there is to say, 0 if the request goes on (section 13.2.2).

    :param etag: a strong one, with its quotes.
    :param modified: seconds since the epoch.
    """
    match, none_match = environ.get("HTTP_IF_MATCH"), environ.get("HTTP_IF_NONE_MATCH")
    if match is not None:
        if not (match.strip() == "*" or etag in _ETAG.findall(match)):
            return 412
    elif (since := _seconds(environ.get("HTTP_IF_UNMODIFIED_SINCE"))) is not None and modified > since:
        return 412
    if none_match is not None:
        if none_match.strip() == "*" or etag in [one.removeprefix("W/") for one in _ETAG.findall(none_match)]:
            return 304
    elif (since := _seconds(environ.get("HTTP_IF_MODIFIED_SINCE"))) is not None and modified <= since:
        return 304
    return 0


def part(environ: Mapping[str, Any], size: int, etag: str, modified: int) -> tuple[int, int] | None:
    """The first byte that is asked for and how many; None for all of it.

    :raises Unsatisfiable: there is no such part.
    """
    found = _RANGE.fullmatch(environ.get("HTTP_RANGE", ""))
    if found is None or not any(found.groups()) or not _is_still(environ.get("HTTP_IF_RANGE"), etag, modified):
        return None
    first, last = found.groups()
    if not first:
        start, end = max(0, size - int(last)), size - 1
    else:
        start, end = int(first), int(last) if last else size - 1
        if last and end < start:
            return None  # no range at all
    if start >= size:
        raise Unsatisfiable
    return start, min(end, size - 1) - start + 1


def accepts(accepted: str, coding: str) -> bool:
    """Whether an Accept-Encoding field allows a content coding (section 12.5.3)."""
    weights = {}
    for one in accepted.lower().split(","):
        name, _, parameter = one.partition(";")
        key, _, weight = parameter.partition("=")
        try:
            weights[name.strip()] = float(weight) if key.strip() == "q" else 1.0
        except ValueError:
            weights[name.strip()] = 0.0
    return weights.get(coding, weights.get("*", 0.0)) > 0


def _is_still(condition: str | None, etag: str, modified: int) -> bool:
    """If-Range: the same representation, beyond doubt (section 13.1.5)."""
    return condition is None or condition.strip() == etag or _seconds(condition) == modified


def _seconds(date: str | None) -> int | None:
    """An HTTP-date as seconds since the epoch; None for what is none."""
    try:
        found = parsedate_to_datetime(date or "")
        return int((found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp())
    except (TypeError, ValueError, OverflowError):
        return None
