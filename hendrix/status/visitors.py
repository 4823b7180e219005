"""Who may see the live page's data, and who may use its buttons.

- Where only this machine reaches the page (loopback, a unix socket), everybody who comes directly and asks for it by a name of this machine
  may look. The name keeps out sites of others that let their own name point here (DNS rebinding); and who comes through a proxy is from
  elsewhere.
- Everybody else needs the token, and for a button all need it. It comes in the field ``Authorization``, which no page of another site can
  have a browser send, and which no browser sends by itself.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

# Gives a field of a request, None if it has none.
Fields = Callable[[str], str | None]

# What a proxy adds.
OF_PROXIES = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via")
# Who asks, as browsers say it: a page of ours, or the user.
OURS = (None, "same-origin", "none")


@dataclass(frozen=True)
class Visitors:
    """The rules for one endpoint.

    :ivar token: None if there is none: then there are no buttons.
    :ivar private: only this machine reaches it.
    """

    token: str | None
    private: bool

    def may_look(self, fields: Fields) -> bool:
        return self._may_look_anyhow(fields) or self.may_act(fields)

    def may_act(self, fields: Fields) -> bool:
        if self.token is None or not _is_ours(fields):
            return False
        kind, _, given = (fields("Authorization") or "").partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self.token.encode())

    def _may_look_anyhow(self, fields: Fields) -> bool:
        return self.private and _is_ours(fields) and is_local(fields("Host")) and not any(map(fields, OF_PROXIES))


def is_local(host: str | None) -> bool:
    """Whether the content of a Host field is a name that this machine has on every machine."""
    name = re.sub(r":\d*$", "", host or "").lower().rstrip(".")
    try:
        return ip_address(name.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def is_private(address: Any) -> bool:
    """Whether only this machine reaches a port at this `IAddress`."""
    if hasattr(address, "name"):  # UNIXAddress
        return True
    try:
        return ip_address(address.host).is_loopback
    except (AttributeError, ValueError):
        return False


def _is_ours(fields: Fields) -> bool:
    return fields("Sec-Fetch-Site") in OURS
