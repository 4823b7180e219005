"""An app that waits 5 ms, as for a database: N threads can answer at most N * 200 requests a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

WAIT = 0.005  # seconds
BODY = b"Thank you for waiting.\n"


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Hold this thread, not the GIL, for WAIT seconds, then answer."""
    time.sleep(WAIT)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))])
    return [BODY]
