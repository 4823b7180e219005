"""Who asked, as trusted proxies tell it: ``Forwarded`` (RFC 7239) and the ``X-Forwarded-*`` fields.

The rules:

1. Only a peer on the ``--trusted-proxy`` list is believed; the caller asks `TrustedProxies.trusts` first. From anybody
   else these fields are noise, or an attack.
2. ``Forwarded`` wins: where it is present every ``X-Forwarded-*`` field is ignored.
3. Each proxy adds what it saw on the right. So the walk starts there and goes left over the hops that are trusted
   themselves, and ends at the first address that is not: that is the client. What stands left of it was sent by the client
   and is not believed, nor even looked at. If every hop is trusted, the leftmost is the client.
4. Scheme, host and port come from the element in which the walk ended, because the outermost trusted proxy wrote it. In
   the ``X-Forwarded-*`` lists that is the element as far from the right as in ``X-Forwarded-For``, or the leftmost of a
   shorter list (a proxy that overwrites a field leaves one element).
5. ``unknown`` and obfuscated nodes (``_hidden``) are no addresses: the walk ends there, and the nearest hop that has an
   address stays the remote address.
6. The port is what ``X-Forwarded-Port`` says, or the port of the forwarded host, or the default of the forwarded scheme.
7. Empty elements of a list are skipped (RFC 9110 section 5.6.1.2).
8. What does not parse is refused with 400 and never handed on. Rule 3 makes one exception: in ``X-Forwarded-*``, what
   stands left of the client is not read. ``Forwarded`` has quoted strings, and so is parsed as a whole.

The proxy must set or drop *both* kinds of field: one that sets only ``X-Forwarded-For`` and lets the client's own
``Forwarded`` pass tells us the client's lies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from hendrix.errors import ConfigurationError, PeerError

UNIX = "unix"
DEFAULT_PORTS = {"http": "80", "https": "443"}
# Some proxies (Traefik) name the scheme of the WebSocket that the request asks for.
SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# Printable ASCII only, and obs-text is refused: a node, a scheme and a host have no use for it.
_PAIR = re.compile(rf'({_TOKEN})=(?:({_TOKEN})|"((?:[\t \x21\x23-\x5b\x5d-\x7e]|\\[\t \x21-\x7e])*)")')
_SEPARATOR = re.compile(r"[ \t]*([,;]|\Z)[ \t]*")
_QUOTED_PAIR = re.compile(r"\\(.)")
# An IPv6 address in brackets or anything else without a colon, then a port or an obfuscated port (RFC 7239 section 6).
_NODE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]+))(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?")
_HIDDEN = re.compile(r"unknown|_[A-Za-z0-9._-]+", re.IGNORECASE)
# The host of RFC 3986 section 3.2.2 without sub-delims, which no real host has.
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})+)(?::([0-9]{1,5}))?")


class Origin(NamedTuple):
    """What replaces the values of the connection in the environ; None leaves the one that is there.

    Where ``remote_addr`` is replaced the caller drops ``REMOTE_PORT``, which belonged to the proxy.

    :ivar remote_addr: for ``REMOTE_ADDR``: a normalised IP address.
    :ivar url_scheme: for ``wsgi.url_scheme``: "http" or "https".
    :ivar http_host: for ``HTTP_HOST``: a host with an optional port.
    :ivar server_port: for ``SERVER_PORT``: decimal digits, 1 to 65535.
    """

    remote_addr: str | None = None
    url_scheme: str | None = None
    http_host: str | None = None
    server_port: str | None = None


class _Hop(NamedTuple):
    """One element: who connected to the proxy that wrote it, and what it asked for."""

    node: str | None = None
    proto: str | None = None
    host: str | None = None
    port: str | None = None


class TrustedProxies:
    """The peers that may tell who asked. Immutable; any thread.

    :param specs: addresses ("10.0.0.1"), networks ("10.0.0.0/8", "fd00::/8"), and "unix" for every peer on a unix socket.
    :raises ConfigurationError: for a string that is none of these.
    """

    def __init__(self, specs: tuple[str, ...] = ()) -> None:
        self._unix = UNIX in specs
        self._networks = tuple(_network(spec) for spec in specs if spec != UNIX)

    def __bool__(self) -> bool:
        return self._unix or bool(self._networks)

    def trusts(self, peer_address: str) -> bool:
        """Is this peer on the list?

        :param peer_address: an IP address as the socket gives it (IPv4 mapped into IPv6 counts as IPv4, a zone is no
            matter); "" or "unix" for a peer on a unix socket.
        """
        if peer_address in ("", UNIX):
            return self._unix
        address = _address(peer_address)
        return address is not None and self.includes(address)

    def includes(self, address: IPv4Address | IPv6Address) -> bool:
        """Is this parsed address on the list?"""
        return any(address in network for network in self._networks)


def origin(trusted: TrustedProxies, fields: Mapping[str, str]) -> Origin:
    """What the proxies say of the client, by the rules above. Call it only for a peer that is trusted.

    :param fields: the request's fields by CGI name (``HTTP_FORWARDED``, ``HTTP_X_FORWARDED_FOR``, ...).
    :raises PeerError: 400, for a value that does not parse.
    """
    forwarded = fields.get("HTTP_FORWARDED")
    chain = _x_forwarded(fields) if forwarded is None else reversed(_parse_forwarded(forwarded))
    client: str | None = None
    end = _Hop()
    for end in chain:
        address = _node(end.node)
        if address is None:
            break
        client = str(address)
        if not trusted.includes(address):
            break
    return _origin(client, end)


def _origin(client: str | None, hop: _Hop) -> Origin:
    """Validate what the last hop of the walk says. Empty strings count as absent."""
    scheme = host = port = None
    if hop.proto:
        scheme = SCHEMES.get(hop.proto.lower())
        if scheme is None:
            raise PeerError(400, "bad forwarded scheme")
        port = DEFAULT_PORTS[scheme]
    if hop.host:
        host = hop.host
        match = _HOST.fullmatch(host)
        if match is None:
            raise PeerError(400, "bad forwarded host")
        port = _port(match[1]) if match[1] else port
    return Origin(client, scheme, host, _port(hop.port) if hop.port else port)


def _x_forwarded(fields: Mapping[str, str]) -> Iterator[_Hop]:
    """The ``X-Forwarded-*`` fields as hops, from the right (rule 4)."""
    nodes, *others = (_elements(fields, name) for name in ("FOR", "PROTO", "HOST", "PORT"))
    for distance in range(max(1, len(nodes))):
        proto, host, port = (each[max(0, len(each) - 1 - distance)] if each else None for each in others)
        yield _Hop(nodes[-1 - distance] if nodes else None, proto, host, port)


def _elements(fields: Mapping[str, str], name: str) -> list[str]:
    return [stripped for element in fields.get(f"HTTP_X_FORWARDED_{name}", "").split(",") if (stripped := element.strip(" \t"))]


def _parse_forwarded(value: str) -> list[_Hop]:
    """The elements of ``Forwarded`` from the left (RFC 7239 section 4); parameters that it does not define are skipped."""
    hops: list[_Hop] = []
    pairs: dict[str, str] = {}
    at = 0
    while True:
        if pair := _PAIR.match(value, at):
            name, token, quoted = pair[1].lower(), pair[2], pair[3]
            if name in pairs:
                raise PeerError(400, "Forwarded repeats a parameter")
            pairs[name] = _QUOTED_PAIR.sub(r"\1", quoted) if token is None else token
            at = pair.end()
        separator = _SEPARATOR.match(value, at)
        if separator is None:
            raise PeerError(400, "bad Forwarded")
        if separator[1] != ";" and pairs:
            hops.append(_Hop(pairs.get("for"), pairs.get("proto"), pairs.get("host")))
            pairs = {}
        if not separator[1]:
            return hops
        at = separator.end()


def _node(text: str | None) -> IPv4Address | IPv6Address | None:
    """The address of a node, None for one that hides it (rule 5)."""
    if text is None:
        return None
    if "%" in text:
        raise PeerError(400, "a zone means nothing beyond its own host")
    # X-Forwarded-For knows no brackets: there an IPv6 address stands bare.
    if bare := _address(text):
        return bare
    if text == "unix:":  # so nginx calls a client of its own unix socket
        return None
    match = _NODE.fullmatch(text)
    if match is None:
        raise PeerError(400, "bad forwarded address")
    address = _address(match[1] or match[2])
    if isinstance(address, IPv6Address if match[1] else IPv4Address):
        return address
    if match[1] or not _HIDDEN.fullmatch(match[2]):
        raise PeerError(400, "bad forwarded address")
    return None


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _port(digits: str) -> str:
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 5 and 0 < int(digits) <= 65535):
        raise PeerError(400, "bad forwarded port")
    return str(int(digits))


def _network(spec: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(spec)
    except ValueError as error:
        message = f"--trusted-proxy {spec}: {error}; give an address, a network such as 10.0.0.0/8, or unix"
        raise ConfigurationError(message) from None
