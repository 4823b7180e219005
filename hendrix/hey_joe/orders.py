"""`send_to` and `close_for`: orders to connections, in whatever process they are, from whatever process. Any thread."""

from __future__ import annotations

import os
from base64 import b64encode
from typing import Any

from hendrix import client
from hendrix.hey_joe import branch as branches, connections
from hendrix.hey_joe.admission import NotServed, identity

Order = dict[str, Any]

# The least and the largest code of a close (RFC 6455 section 7.4.2).
CODES = range(1000, 5000)


def send_to(id: str, data: Any) -> None:
    """Send something to the connection with this id, as ``ws.send`` does. If it is gone, nothing happens.

    :raises NotServed: this is not a process of hendrix, and the environment's HENDRIX_CONTROL names no control socket of one.
    :raises BadPayload: no JSON can be made of it, or it is larger than 1 MiB.
    :raises ConfigurationError, LocalError: the hendrix of that socket cannot be reached, or refuses.
    """
    house = connections.current
    connection = house.open.get(id) if house is not None else None
    if connection is not None:
        connection.send(data)
    elif not _told(order_to_send(id, data)):
        client.send_to(id, data, control=_control("send_to"))


def close_for(user: Any = None, *, id: str | None = None, code: int = 1008, reason: str = "logged out") -> None:
    """Close all connections of a user, or the one with this id.

    :param user: as given to `accept`, or its primary key, also as text.
    :raises ValueError: nobody is meant, or it is no code of a close.
    :raises NotServed, ConfigurationError, LocalError: as for `send_to`.
    """
    order = order_to_close(identity(user)[1], id, code, reason)
    if not _told(order):
        client.close_for(order["user"], id=id, code=code, reason=reason, control=_control("close_for"))


def order_to_send(id: str, data: Any) -> Order:
    return {"id": id, "bytes": b64encode(data).decode()} if isinstance(data, bytes) else {"id": id, "data": data}


def order_to_close(user: str | None, id: str | None, code: int, reason: str) -> Order:
    """Raises ValueError for one that can mean nobody, or with a code that is none."""
    if user is None and id is None:
        raise ValueError("hey_joe.close_for: give a user who has a primary key, or the id of a connection")
    if isinstance(code, bool) or not isinstance(code, int) or code not in CODES:
        raise ValueError(f"hey_joe.close_for: a connection is closed with a code from 1000 to 4999, not {code!r}")
    return {"close": code, "reason": reason, "id": id, "user": user}


def _told(order: Order) -> bool:
    """Whether this is a process that can tell the others: one that serves, or the parent of those that do."""
    house, branch = connections.current, branches.current
    if house is not None:
        house.tell(order)
    elif branch is not None:
        branch.publish(connections.ORDERS, order, own=True)
    else:
        return False
    return True


def _control(name: str) -> str:
    control = os.environ.get("HENDRIX_CONTROL", "")
    if control in ("", "off"):
        raise NotServed(
            f"hey_joe.{name}: this is no process of hendrix that serves connections. With HENDRIX_CONTROL, the control socket of one that "
            "runs, it finds it from anywhere; so does hendrix.client"
        )
    return control
