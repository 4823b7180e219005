"""What a setting may be: readers that turn text from the command line, or a Python value, into the value of a setting.

A reader raises ValueError whose text says what to give instead; `hendrix.options` puts the flag and the value in front of it.
"""

from __future__ import annotations

import ipaddress
import math
import os
import re
from collections.abc import Callable
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from twisted.internet.interfaces import IStreamServerEndpoint, IStreamServerEndpointStringParser
from twisted.plugin import getPlugins

from hendrix.access.formats import Format

Reader: TypeAlias = Callable[[Any], Any]

# What stands for this machine alone, in the words of an endpoint.
LOOPBACK = {"tcp": "127.0.0.1", "ssl": "127.0.0.1", "tcp6": "\\:\\:1"}


def text(value: Any) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError("give printable text")
    return value


def secret(value: Any) -> str:
    if not isinstance(value, str) or len(value) < 16 or not value.isprintable():
        raise ValueError("give at least 16 characters, as openssl rand -hex 32 makes them")
    return value


def yes(value: Any) -> bool:
    """Of a flag: there it is True; in the environment there are words for it."""
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    found = words.get(value.lower()) if isinstance(value, str) else value if isinstance(value, int) and value in (0, 1) else None
    if found is None:
        raise ValueError("give yes or no")
    return bool(found)


def whole(low: int, high: int) -> Reader:
    def read(value: Any) -> int:
        try:
            number = int(value) if isinstance(value, str) else value
        except ValueError:
            number = None
        if type(number) is not int or not low <= number <= high:
            raise ValueError(f"give a whole number from {low} to {high}")
        return number

    return read


def workers(value: Any) -> int:
    """A number of processes; ``auto`` is one for each core that this process may use."""
    if value == "auto":
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        return int(whole(0, 512)(value))
    except ValueError:
        raise ValueError("give a whole number from 0 to 512, or auto for one for each core") from None


def size(low: int, high: int) -> Reader:
    """Bytes: a whole number, or text with the suffix k, M, G or T (powers of 1024)."""

    def read(value: Any) -> int:
        match = re.fullmatch(r"(\d{1,15})([kmgt]?)", value.lower()) if isinstance(value, str) else None
        number = int(match[1]) << 10 * " kmgt".index(match[2] or " ") if match else value
        if type(number) is not int or not low <= number <= high:
            raise ValueError(f"give a size in bytes from {bytes_text(low)} to {bytes_text(high)}, such as 512k or 10M")
        return number

    return read


def seconds(low: float, high: float) -> Reader:
    def read(value: Any) -> float:
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not low <= number <= high:  # false for NaN too
            raise ValueError(f"give a number of seconds from {low:g} to {high:g}")
        return number

    return read


def one_of(*words: str) -> Reader:
    def read(value: Any) -> str:
        if value not in words:
            raise ValueError("give " + " or ".join(words))
        return str(value)

    return read


def access_format(value: Any) -> str:
    """A format of the access log."""
    Format(text(value))
    return str(value)


def path(value: Any) -> str:
    """Absolute from here on: a daemon changes its directory."""
    try:
        return os.path.abspath(text(os.fspath(value)))
    except TypeError:
        raise ValueError("give the path of a file") from None


def url_path(value: Any) -> str:
    if not re.fullmatch(r"/[!$-;=@-~]*", value if isinstance(value, str) else ""):
        raise ValueError("give the path of a URL, such as /health")
    return str(value)


def in_place(what: str, example: str, read: Reader) -> Reader:
    """Something at a path of the site: ``/path=value``. The path has no slash at its end.

    :param read: of what stands behind the first ``=``.
    """

    def place(value: Any) -> str:
        url, equals, rest = text(value).partition("=")
        if not equals or not re.fullmatch(r"(/[!$&-.0-<@-~]+)+/?", url):
            raise ValueError(f"give a path below / and {what}, such as {example}")
        return f"{url.rstrip('/')}={read(rest)}"

    return place


def directory(value: Any) -> str:
    if not os.path.isdir(found := path(value)):
        raise ValueError("there is no such directory; give one that exists")
    return found


BROKERS = ("memory", "redis", "rediss", "redis+sentinel", "rediss+sentinel", "postgresql", "postgres")

# Those of which a URL may name several hosts, and those that need none.
SEVERAL_HOSTS, NO_HOST = ("redis+sentinel", "rediss+sentinel", "rediss+sentinel", "postgresql", "postgres"), ("postgresql", "postgres")


def broker(value: Any) -> str:
    """``memory:``, or the URL of an engine; as far as it can be checked without its client."""
    given = text(value)
    if given in ("memory", "memory:"):
        return "memory:"
    try:
        parts = urlsplit(given)
        somewhere = bool(parts.hostname) or parts.scheme in NO_HOST
        known = parts.scheme in BROKERS[1:] and somewhere and (parts.port is None or "," in parts.netloc or parts.port > 0)
    except ValueError:
        known = "," in given and given.partition("://")[0] in SEVERAL_HOSTS  # hosts with ports
    if not known:
        raise ValueError(f"give memory: or the URL of an engine, as in redis://host:6379; there is {', '.join(BROKERS)}")
    return given


def without_password(value: str) -> str:
    """What is shown of a value that may be a URL."""
    return re.sub("://.*@", "://***@", value)


def log_file(value: Any) -> str:
    return "-" if value == "-" else path(value)


def control(value: Any) -> str:
    return "off" if value == "off" else path(value)


def application(value: Any) -> Any:
    return value if callable(value) else text(value)


def network(value: Any) -> str:
    """An address or a network, in its normal form; ``unix`` stands for every peer on a unix socket."""
    try:
        return "unix" if value == "unix" else str(ipaddress.ip_network(text(str(value)), strict=False))
    except ValueError:
        raise ValueError("give an address (10.0.0.1), a network (10.0.0.0/8, fd00::/8) or unix") from None


def header_value(value: Any) -> str:
    """RFC 9110 section 5.5, in printable ASCII only; empty text leaves the header out."""
    if not isinstance(value, str) or not value.isascii() or (value and not value.isprintable()) or value != value.strip():
        raise ValueError("give printable ASCII text, or nothing to leave the header out")
    return value


def endpoint(value: Any) -> Any:
    """A Twisted server endpoint as text, checked as far as it goes without opening or reading anything; or the object itself."""
    if IStreamServerEndpoint.providedBy(value):
        return value
    kind, *arguments = re.split(r"(?<!\\):", text(value))
    if kind in ("tcp", "tcp6", "ssl"):
        ports = [a.removeprefix("port=") for a in arguments if a.startswith("port=") or "=" not in a]
        if not ports or not (ports[0].isdecimal() and int(ports[0]) <= 65535):
            raise ValueError(f"give a port from 0 to 65535 after the colon, such as {kind}:8000")
    elif kind not in ("unix", "onion") and kind not in {plugin.prefix for plugin in getPlugins(IStreamServerEndpointStringParser)}:
        raise ValueError(
            f"there is no endpoint type {kind!r}; write tcp:PORT, tcp:PORT:interface=ADDRESS, unix:PATH, "
            "ssl:PORT:privateKey=FILE:certKey=FILE or another Twisted endpoint"
        )
    return value


def private_endpoint(value: Any) -> str:
    """A Twisted server endpoint that only this machine reaches unless it says otherwise: TCP without ``interface`` is loopback, a unix
    socket without ``mode`` is its user's; a port alone is TCP.
    """
    description = f"tcp:{value}" if re.fullmatch(r"\d{1,5}", str(value)) else text(value)
    kind, *arguments = re.split(r"(?<!\\):", str(endpoint(description)))
    if kind in LOOPBACK and not any(argument.startswith("interface=") for argument in arguments):
        return f"{description}:interface={LOOPBACK[kind]}"
    if kind == "unix" and not any(argument.startswith("mode=") for argument in arguments):
        return f"{description}:mode=600"
    return description


def served(value: Any) -> str:
    """``ENDPOINT=NAME``: an endpoint may have ``=`` in it, so the last one counts."""
    where, equals, name = text(value).rpartition("=")
    if not equals or not re.fullmatch(r"[^\W\d]\w*([.:][^\W\d]\w*)+(\(\))?", name):
        raise ValueError("give an endpoint, = and the name of a factory, such as tcp:2222=package.module.factory")
    endpoint(where)
    return str(value)


def bytes_text(number: int) -> str:
    """A size as a user would write it: 1073741824 is 1G."""
    for power, suffix in ((40, "T"), (30, "G"), (20, "M"), (10, "k")):
        if number and number % (1 << power) == 0:
            return f"{number >> power}{suffix}"
    return str(number)
