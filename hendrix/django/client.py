"""Crosstown under Django's test client: tasks run when the response is closed, as they do behind the server when it is out.

They run on the thread of the test, in decorated order, past their gates, inside the transactions of a ``TestCase``. No other handler than
that of the test client is touched.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

from django.core.signals import got_request_exception, request_finished
from django.db import close_old_connections

from hendrix.crosstown.traffic import Following, current
from hendrix.django.commit import Marks, commit_since, marks


def find_test_client(sender: Any, **_: Any) -> None:
    """Receiver of ``request_started``: when the test client has its first request, have its handler run tasks."""
    client = sys.modules.get("django.test.client")
    if client is None or not (isinstance(sender, type) and issubclass(sender, client.ClientHandler)):
        return
    if "get_response" not in vars(client.ClientHandler):
        client.ClientHandler.get_response = _running_tasks(client.ClientHandler.get_response)


def _running_tasks(get_response: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    from hendrix.testing import HeldTraffic

    def get_response_and_hold(handler: Any, request: Any) -> Any:
        own = HeldTraffic() if current.get() is None else None
        traffic: Any = own or current.get()
        request.META["hendrix.after_response"] = traffic.after
        since = marks()
        token = current.set(traffic)
        try:
            response = get_response(handler, request)
        except BaseException:
            if own is not None:
                own.drop()
            raise
        finally:
            current.reset(token)
        if own is not None and response.streaming and not getattr(response, "is_async", False):
            response.streaming_content = _within(own, response.streaming_content)
        if isinstance(traffic, HeldTraffic):
            traffic.code = str(response.status_code)
        response.close = _Close(request, response, own, since)
        return response

    return get_response_and_hold


def _within(traffic: Following, pieces: Any) -> Iterator[bytes]:
    """A body may queue tasks while it is made."""
    while True:
        token = current.set(traffic)
        try:
            piece = next(pieces)
        except StopIteration:
            return
        finally:
            current.reset(token)
        yield piece


class _Close:
    """``close()`` of a response, and what follows it the first time.

    :param own: None if the test holds the tasks itself.
    """

    def __init__(self, request: Any, response: Any, own: Any, since: Marks) -> None:
        self._request, self._own, self._since = request, own, since
        self._response, self._close, self._done = response, response.close, False

    def __call__(self) -> None:
        self._close()
        if self._done:
            return
        self._done = True
        commit_since(self._since)
        if self._own is not None:
            errors = self._own.finish(self._response.status_code)
            if errors:
                self._raise(errors[0])

    def _raise(self, error: BaseException) -> None:
        """Let the client raise it, as it does with what a view raises; ``raise_request_exception=False`` keeps it quiet."""
        if self._response.streaming:  # the client has returned long since
            request_finished.connect(close_old_connections)  # which the client's own wrapper is about to do
            raise error
        try:
            raise error
        except BaseException:
            got_request_exception.send(sender=None, request=self._request)
