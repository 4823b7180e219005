"""The guest book while it is being written: who watches is told of each new entry at once."""

import threading
import time
from collections.abc import Iterator

from guestbook.models import Entry

SECONDS = 20.0  # a watcher holds one thread of the server: not for ever, and less than the server's --grace
LIMIT = 5  # entries, then the page is complete
TICK = 1.0  # seconds until a client that left, or an entry written through another process, is noticed

_signed = threading.Condition()


def announce() -> None:
    """Wake everyone who watches: there is a new entry."""
    with _signed:
        _signed.notify_all()


def follow(last: int) -> Iterator[Entry | None]:
    """Yield the entries that are written after the entry ``last``, and None at each tick in between.

    The wait only saves time: an announcement that comes between the query and the wait costs one tick, no entry.
    """
    deadline = time.monotonic() + SECONDS
    missing = LIMIT
    while missing and time.monotonic() < deadline:
        for entry in Entry.objects.filter(pk__gt=last).order_by("pk")[:missing]:
            last, missing = entry.pk, missing - 1
            yield entry
        if missing:
            yield None
            with _signed:
                _signed.wait(TICK)
