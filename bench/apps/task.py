"""The app "bare", with a task behind each response that does nothing: what is measured is crosstown traffic."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import bare

from hendrix import crosstown_traffic


def nothing() -> None:
    """The task."""


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer as `bare` does."""
    crosstown_traffic()(nothing)
    return bare.application(environ, start_response)
