"""A thread for clients that are written for asyncio, beside any reactor; where the reactor is asyncio's, they run in it.

What runs there tells the reactor of it by `AsyncioThread.post`, in order, with one wake-up for all that comes before the reactor looks.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from hendrix.threads.mailbox import Mailbox

Result = TypeVar("Result")

# Seconds that the thread has to end.
PATIENCE = 5.0


class AsyncioThread:
    """It starts when it is first used. Its methods are for the reactor thread, but `post`."""

    def __init__(self, reactor: Any, name: str) -> None:
        self._reactor, self._name = reactor, name
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = getattr(reactor, "_asyncioEventloop", None)
        self._own = self._loop is None
        self._tasks: set[asyncio.Task[None]] = set()
        self.post = Mailbox(reactor.callFromThread).post

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Deferred[Result]:
        """Run it there. The Deferred fires here, in its place among what is posted; to cancel it cancels the coroutine."""
        loop = self._started()
        running: list[asyncio.Task[None]] = []

        def cancel(deferred: Deferred[Result]) -> None:
            loop.call_soon_threadsafe(lambda: [task.cancel() for task in running])

        deferred: Deferred[Result] = Deferred(cancel)

        async def run() -> None:
            try:
                result = await coroutine
            except (Exception, asyncio.CancelledError) as error:
                self.post(self._fail, deferred, CancelledError() if isinstance(error, asyncio.CancelledError) else error)
            else:
                self.post(self._fire, deferred, result)

        def begin() -> None:
            task = loop.create_task(run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            running.append(task)

        if self._own:
            loop.call_soon_threadsafe(begin)
        else:
            begin()
        return deferred

    def stop(self) -> None:
        """End the thread, and whatever still runs there."""
        loop, thread = self._loop, self._thread
        if not self._own or loop is None or thread is None:
            return
        self._loop = self._thread = None

        def end() -> None:
            for task in list(self._tasks):
                task.cancel()
            loop.call_soon(loop.stop)

        loop.call_soon_threadsafe(end)
        thread.join(PATIENCE)

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._live, args=(loop,), name=f"hendrix-{self._name}", daemon=True)
            self._thread.start()
        return self._loop

    @staticmethod
    def _live(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            loop.close()

    @staticmethod
    def _fire(deferred: Deferred[Any], result: Any) -> None:
        if not deferred.called:
            deferred.callback(result)

    @staticmethod
    def _fail(deferred: Deferred[Any], error: BaseException) -> None:
        if not deferred.called:
            deferred.errback(Failure(error))


Post = Callable[..., object]
