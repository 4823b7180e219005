"""A site that answers at once, hands the order to Celery behind the response, and tells when it is done."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from jobs import press

from hendrix import crosstown_traffic, hey_joe

hey_joe.topic("orders.*", history=1)


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """``/order/7`` takes an order; ``/orders/7`` says what has come of it."""
    what, _, number = environ["PATH_INFO"].strip("/").partition("/")
    if what not in ("order", "orders") or not (number.isascii() and number.isdigit()):
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"try /order/7\n"]
    if what == "order":

        @crosstown_traffic()
        def hand_over() -> None:
            """Behind the response: the visitor does not wait for the queue, not even where that is away for a moment."""
            press.delay(int(number))

        start_response("202 Accepted", [("Content-Type", "text/plain")])
        return [f"order {number} is taken\n".encode()]
    done = [message.payload for message in hey_joe.history(f"orders.{number}")]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(done).encode()]
