"""It answers with the users that imported and called it."""

import os
from collections.abc import Callable, Iterable
from typing import Any

IMPORTED_BY = os.getuid()


def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"imported by {IMPORTED_BY}, called by {os.getuid()}\n".encode()]
