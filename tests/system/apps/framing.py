"""A site that sends raw frames, and remembers those that come."""

from __future__ import annotations

from urllib.parse import parse_qs

from hendrix import hey_joe
from hendrix.siblings import ethernet

hey_joe.topic("ethernet.*", history=10_000)
hey_joe.topic("wire.*", history=100)


def app(environ, start_response):
    """``?sibling=out&count=3``: three frames to all, with their numbers in them."""
    query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    for number in range(int(query.get("count", 0))):
        header = b"\xff" * 6 + b"\2\0\0\0\0\1" + b"\x88\xb5"
        ethernet.send(header + number.to_bytes(4, "big") * int(query.get("times", 1)), sibling=query.get("sibling", "ethernet"))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"sent"]


def crashing(context, interface: str):
    """The sibling, which dies when somebody publishes on "crash"."""
    service = ethernet.make_service(context, interface)
    context.subscribe("crash", lambda event: service.on_failure(RuntimeError("as it was told")))
    return service
