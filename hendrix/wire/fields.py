"""Field names and the Host field: what a header line may say, and the name under which the application sees it.

The application's names are those of CGI (RFC 3875 section 4.1.18): ``Content-Type`` is ``CONTENT_TYPE``, ``Accept`` is
``HTTP_ACCEPT``. Two spellings must never meet in one name, so a field with an underscore is dropped: ``X_User`` would pass for
``X-User``, which a proxy vouches for. ``Proxy`` is dropped too: as ``HTTP_PROXY`` it would redirect the application's own
requests ("httpoxy").
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address

# As in Apache and gunicorn. Joining repeated fields would be quadratic without a limit.
MAX_FIELDS = 128

# A table that clients can grow needs a bound; a real site sees some dozens of different names and hosts.
TABLE_SIZE = 2000
# Nor do these need to remember longer ones.
LONGEST_NAME = 64
LONGEST_HOST = 255

FORWARDED = frozenset({
    "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT", "HTTP_X_FORWARDED_BY", "HTTP_X_FORWARDED_SSL", "HTTP_X_FORWARDED_PREFIX", "HTTP_X_FORWARDED_SCHEME",
    "HTTP_X_FORWARDED_SERVER",
})  # fmt: skip

# RFC 9110 section 6.5.1: fields that frame, route, authenticate or modify the message must not come after its content.
FORBIDDEN_TRAILERS = FORWARDED.union({
    "CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_TRANSFER_ENCODING", "HTTP_HOST", "HTTP_CONNECTION", "HTTP_CONTENT_ENCODING",
    "HTTP_CONTENT_RANGE", "HTTP_AUTHORIZATION", "HTTP_PROXY_AUTHORIZATION", "HTTP_COOKIE", "HTTP_SET_COOKIE", "HTTP_EXPECT", "HTTP_TE",
    "HTTP_TRAILER", "HTTP_UPGRADE", "HTTP_CACHE_CONTROL", "HTTP_MAX_FORWARDS", "HTTP_PRAGMA", "HTTP_RANGE", "HTTP_KEEP_ALIVE",
    "HTTP_PROXY_CONNECTION", "HTTP_PROXY_AUTHENTICATE", "HTTP_WWW_AUTHENTICATE", "HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH",
    "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_UNMODIFIED_SINCE", "HTTP_IF_RANGE",
})  # fmt: skip

# RFC 3986 section 3.2.2: an IP literal in brackets, or a registered name. The comma is left out: it is how two hosts look when joined.
HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})+)(?::([0-9]{0,5}))?")

# Hosts that have been found good.
known_hosts: set[str] = set()


def cgi_name(name: bytes) -> str:
    """The CGI name of a field, or ``""`` if the application must not see it.

    :param name: a token (RFC 9110 section 5.6.2), as the parser has checked.
    """
    if b"_" in name:
        return ""
    key = name.decode("ascii").upper().replace("-", "_")
    if key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        return key
    return "" if key == "PROXY" else "HTTP_" + key


def is_host(host: str) -> bool:
    """Whether ``host`` is one host with an optional port (RFC 9110 section 7.2, RFC 3986 section 3.2.2)."""
    if host in known_hosts:
        return True
    match = HOST.fullmatch(host)
    if match is None or int(match[2] or 0) > 65535 or (match[1] and not _is_ipv6(match[1])):
        return False
    if len(known_hosts) < TABLE_SIZE and len(host) <= LONGEST_HOST:
        known_hosts.add(host)
    return True


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True
