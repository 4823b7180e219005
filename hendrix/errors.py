"""The two error families: whose fault was it?

A `PeerError` is the client's fault and carries the status to answer. A `LocalError` is ours or the application's: it is
logged, and the client hears 500. The first line of each message is what the operator reads, so it names the thing at fault.
"""

from __future__ import annotations


class PeerError(Exception):
    """The peer broke the protocol or a limit: answer ``status`` and close the connection.

    :ivar status: the HTTP status code to answer (RFC 9110 section 15).
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class LocalError(Exception):
    """We or the application did something wrong: log it, and answer 500 where an answer is still possible."""


class ConfigurationError(LocalError):
    """A setting cannot work: the message names the option, its value and what to do. The process exits 1."""


class GivenUp(LocalError):
    """Parts of the process died more often than their supervisor puts up with."""


class ChildError(LocalError):
    """A worker process could not start: what it said about that, in full."""


class AppError(LocalError):
    """The application broke PEP 3333: the message says which rule."""


class Disconnected(LocalError):
    """The client has gone, or did not read within the write timeout: there is nobody left to answer."""
