"""One call of an application with an outlet that records, and the log meanwhile."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from twisted.logger import ILogObserver, globalLogPublisher

from hendrix.wire.http1 import Request
from hendrix.wsgi.call import Exchange
from hendrix.wsgi.environ import base_environ, make_environ

sys.path.insert(0, str(Path(__file__).parent))

from recording import Call, Caller, Log, Recorder


@pytest.fixture
def outlet() -> Recorder:
    return Recorder()


@pytest.fixture
def call(outlet: Recorder) -> Caller:
    """Call an application for a request; its first argument is the application, the others change the request."""

    def call(app: Callable[..., Any], method: str = "GET", target: str = "/", content: bytes | None = None, **attributes: Any) -> Call:
        request = Request()
        request.method, request.target = method, target
        request.fields = base_environ("localhost", "8000", "http", multiprocess=False)
        request.content = None if content is None else io.BytesIO(content)
        for name, value in attributes.items():
            setattr(request, name, value)
        exchange = Exchange(request, outlet)
        over = exchange.run(app, make_environ(request, ("192.0.2.1", "1234")))
        assert exchange.over is over
        if request.content is not None:
            assert request.content.closed, "the content of the request is not let go of"
        return Call(outlet, exchange, over)

    return call


@pytest.fixture
def log() -> Iterator[Log]:
    """What is logged meanwhile."""
    events = Log()
    observer = cast(ILogObserver, events.append)
    globalLogPublisher.addObserver(observer)
    yield events
    globalLogPublisher.removeObserver(observer)
