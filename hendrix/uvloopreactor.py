"""The reactor of `twistd --reactor=uvloop`: Twisted's asyncio reactor on uvloop's event loop."""

from __future__ import annotations


def install() -> None:
    """Make it the reactor of this process; called once, before any other reactor is installed (main thread).

    :raises ImportError: uvloop is not installed; twistd prints the message and exits.
    """
    try:
        import uvloop
    except ImportError:
        raise ImportError("uvloop is not installed; pip install 'hendrix[fast]'")
    from twisted.internet import asyncioreactor

    asyncioreactor.install(uvloop.new_event_loop())
