"""What a line of the access log is made of."""

from __future__ import annotations

from typing import NamedTuple


class Record(NamedTuple):
    """One line. Absent text is ""; all text is as it came, unescaped. Moments are seconds as `time.monotonic` says them.

    :ivar event: "request", or of a connection that was let in "open" or "close".
    :ivar arrived: when the last byte of the request had come; of "close", when it was opened.
    :ivar began: when a thread took it.
    :ivar first: when the first byte of the answer left.
    :ivar finished: when the application was done with it.
    :ivar left: when the last byte of the answer left.
    :ivar method: "" (as ``target`` and ``protocol``) where the request line did not parse.
    :ivar status: three digits, or "0" where the client left before there was one.
    :ivar received: bytes of the request, head and content; of "close", what was received after the request.
    :ivar sent: bytes of content that were sent.
    :ivar extra: what the format asks for besides.
    """

    event: str
    arrived: float
    began: float
    first: float
    finished: float
    left: float
    request_id: str
    remote_addr: str
    user: str
    method: str
    target: str
    protocol: str
    tls: str
    status: str
    received: int
    sent: int
    referer: str
    user_agent: str
    client: str
    close_code: int
    extra: tuple[str, ...] = ()


class Origin(NamedTuple):
    """What all lines of one flush have in common.

    :ivar offset: to be added to a moment for the seconds since 1970.
    :ivar worker: the name of the process in the tree.
    """

    offset: float
    worker: str
    pid: int
