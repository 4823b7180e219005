"""A parser that notes when each request was complete and how many bytes it took. Only who asks for that pays for it."""

from __future__ import annotations

from time import monotonic
from typing import Any

from hendrix.errors import PeerError
from hendrix.wire.http1 import IDLE, Request, RequestParser


class MeasuredParser(RequestParser):
    """Fills in ``arrived``, ``received`` and ``tls`` of its requests.

    :ivar tls: the version of the connection, as "TLSv1.3"; set by its owner when it is known.
    """

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.received = 0  # of the request that is being read
        self.tls = ""

    def _read_head(self, data: bytes, at: int) -> int:
        try:
            stop = read_head(self, data, at)
        except PeerError:
            self.received += len(data) - at
            raise
        requests = self.requests
        if requests and not requests[-1].arrived:
            self._measure(requests[-1], stop - at)
        else:
            self.received += stop - at
        return stop

    def _read_content(self, data: bytes, at: int) -> int:
        stop = super()._read_content(data, at)
        if self.stage == IDLE:
            self._measure(self.requests[-1], stop - at)
        else:
            self.received += stop - at
        return stop

    def _measure(self, request: Request, last: int) -> None:
        """A request is complete."""
        request.arrived = monotonic()
        request.received, self.received = self.received + last, 0
        if self.tls:
            request.tls = self.tls


read_head = RequestParser._read_head
