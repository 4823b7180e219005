"""``from hendrix import hey_joe``: publish and subscribe. Each name is imported when it is first asked for (PEP 562)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

# No module of this package may have the name of a function: once imported, it would stand in its place.
_MODULE_OF = {
    "BadPayload": "message",
    "BadTopic": "topics",
    "Event": "declared",
    "NoHub": "branch",
    "NotDurable": "branch",
    "NotServed": "admission",
    "WouldWait": "reply",
    "broadcast": "hendrix5",
    "accept": "admission",
    "close_for": "orders",
    "consumer": "facade",
    "enqueue": "facade",
    "history": "facade",
    "on": "facade",
    "position": "facade",
    "presence": "facade",
    "publish": "facade",
    "register_followup": "hendrix5",
    "send": "hendrix5",
    "send_to": "orders",
    "topic": "facade",
}
__all__ = sorted(_MODULE_OF)

if TYPE_CHECKING:
    from hendrix.hey_joe.admission import NotServed as NotServed, accept as accept
    from hendrix.hey_joe.branch import NoHub as NoHub, NotDurable as NotDurable
    from hendrix.hey_joe.declared import Event as Event
    from hendrix.hey_joe.facade import (
        consumer as consumer,
        enqueue as enqueue,
        history as history,
        on as on,
        position as position,
        presence as presence,
        publish as publish,
        topic as topic,
    )
    from hendrix.hey_joe.hendrix5 import broadcast as broadcast, register_followup as register_followup, send as send
    from hendrix.hey_joe.message import BadPayload as BadPayload
    from hendrix.hey_joe.orders import close_for as close_for, send_to as send_to
    from hendrix.hey_joe.reply import WouldWait as WouldWait
    from hendrix.hey_joe.topics import BadTopic as BadTopic
else:

    def __getattr__(name):
        if name not in _MODULE_OF:
            raise AttributeError(f"module 'hendrix.hey_joe' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"hendrix.hey_joe.{_MODULE_OF[name]}"), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
