"""A shop at night, for the live page: quick pages, slow reports, mails after the answer, some of which fail, and those who listen."""

import random
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from hendrix import crosstown_traffic, hey_joe

release = threading.Event()


def send_receipt(order: int) -> None:
    time.sleep(0.2 + random.random())
    if order % 25 == 0:
        raise ConnectionError("the mail server said: 451 try again later")


def resize_pictures() -> None:
    time.sleep(0.5 + 2 * random.random())


def query(seconds: float) -> None:
    """What waits for a database does."""
    time.sleep(seconds)


def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """The path says what happens."""
    path = environ["PATH_INFO"]
    name, _, argument = path[1:].partition("/")
    status = "200 OK"
    if name == "search":
        query(random.expovariate(1 / 0.02))
    elif name == "report":
        query(float(argument or 1))
    elif name == "order":
        query(0.005)
        crosstown_traffic.run(send_receipt, int(argument or 1))
        hey_joe.publish("orders.new", {"order": argument})
    elif name == "pictures":
        crosstown_traffic.run(resize_pictures)
    elif name == "broken":
        raise KeyError("price")
    elif name == "missing":
        status = "404 Not Found"
    elif name == "listen":
        hey_joe.accept(environ, topics=[argument])
    elif name == "hold":
        release.clear()
        release.wait(60)
    elif name == "release":
        release.set()
    body = b"<!doctype html><title>shop</title>\n"
    start_response(status, [("Content-Type", "text/html"), ("Content-Length", str(len(body)))])
    return [body]
