"""What runs in a worker process: take a pickled function, call it, send back what comes of it; one after another.

SIGINT and SIGTERM, which a terminal or systemd sends to each process of a service, are left to the parent: it drains, and then closes the
connection, which is the end here.
"""

from __future__ import annotations

import pickle
import signal
import sys
import traceback
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

from hendrix.errors import LocalError

BEGUN = b"begun"


class NotPickled(LocalError):
    """A task returned or raised what cannot be pickled; the message describes it."""


def main(descriptor: int, django: bool) -> None:
    """Serve the connection of this descriptor until its other end closes.

    :param django: set Django up first.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _ignore)  # a function, not SIG_IGN: what the tasks start does not inherit it
    if django:
        import_module("django").setup()
    connection = Connection(descriptor)
    try:
        while True:
            payload = connection.recv_bytes()
            connection.send_bytes(BEGUN)
            connection.send_bytes(_answer(payload))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the parent has gone or wants no more


def _ignore(number: int, frame: object) -> None:
    pass


def _answer(payload: bytes) -> bytes:
    """A pickle of what was returned, what was raised or None, and its traceback."""
    try:
        return _pickled(pickle.loads(payload)(), None)
    except BaseException as error:
        return _pickled(None, error, traceback.format_exc())
    finally:
        database = sys.modules.get("django.db")
        if database is not None:
            database.close_old_connections()


def _pickled(value: Any, error: BaseException | None, trace: str = "") -> bytes:
    try:
        reply = pickle.dumps((value, error, trace))
        if error is not None:
            pickle.loads(reply)  # many an exception can be pickled, but not made again
    except Exception as reason:
        what = f"returned a {type(value).__qualname__}" if error is None else f"raised {error!r}"
        return pickle.dumps((None, NotPickled(f"the task {what}, which cannot be pickled: {reason}"), trace))
    return reply
