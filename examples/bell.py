"""A bell that all who listen hear: what the streamed answers of the small examples wait for."""

import threading
from collections.abc import Iterator

_bell = threading.Condition()
_rings = 0


def ring() -> None:
    """Ring once (any thread)."""
    global _rings
    with _bell:
        _rings += 1
        _bell.notify_all()


def listen(seconds: float = 20) -> Iterator[bytes]:
    """Yield a first piece at once, and a second when the bell rings or nobody has rung it for some ``seconds``."""
    heard = _rings
    yield b"Listening.\n"
    with _bell:
        rung = _bell.wait_for(lambda: _rings > heard, seconds)
    yield b"Ding!\n" if rung else b"Silence.\n"
