"""The node "watch": sees what is saved, has the worker replaced for code, and tells it of templates and translations.

It is up before the worker begins to import, so that no save is missed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.util import cache_from_source
from typing import Any

from twisted.application.service import Service
from twisted.logger import Logger

from hendrix.dev.files import Project, is_code
from hendrix.errors import ConfigurationError
from hendrix.options import Settings

log = Logger(namespace="hendrix.dev")

CHANNEL = "dev"
"""Of the link to the worker: ``{"changed": [paths]}`` is for what can be read anew."""

# Milliseconds without a further change, after which those seen are one save; and after which they are in any case.
STEP, DEBOUNCE = 40, 400
# Milliseconds after which the watch looks whether it is to end.
TURN = 100
# Names that are logged of a save of many files.
NAMED = 3

Changes = Iterator[set[tuple[Any, str]]]


class Watch(Service):
    """Watches the files of a project, in a thread of its own.

    :param restart: a new worker for new code. Reactor thread, as all that is called here.
    :param tell: passes a message on to the worker, on the channel `CHANNEL`.
    :raises ConfigurationError: watchfiles is not installed.
    """

    name = "watch"

    def __init__(self, reactor: Any, project: Project, restart: Callable[[], object], tell: Callable[[Mapping[str, Any]], object]) -> None:
        try:
            from watchfiles import watch
        except ImportError:
            advice = "pip install 'hendrix[dev-server]', or give --no-reload too"
            raise ConfigurationError(f"--dev: to see what is saved it needs watchfiles, which is not installed; {advice}") from None
        self._watch = watch
        self._reactor, self._project, self._restart, self._tell = reactor, project, restart, tell
        self._end = threading.Event()

    def describe(self) -> str:
        return ", ".join(self._project.roots)

    def startService(self) -> None:
        super().startService()
        self._end.clear()
        changes = self._watch(
            *self._project.roots,
            watch_filter=lambda change, path: self._project.has(path),
            debounce=DEBOUNCE,
            step=STEP,
            stop_event=self._end,
            rust_timeout=TURN,
            yield_on_timeout=True,
            ignore_permission_denied=True,
        )
        first = self._next(changes)
        if first is not None:
            threading.Thread(target=self._run, args=(changes, first, self._end), name="hendrix watch", daemon=True).start()

    def stopService(self) -> None:
        super().stopService()
        self._end.set()
        self._end = threading.Event()

    # In the thread.

    def _run(self, changes: Changes, some: set[tuple[Any, str]] | None, end: threading.Event) -> None:
        while some is not None and not end.is_set():
            if some:
                self._reactor.callFromThread(self._saved, sorted(path for _, path in some))
            some = self._next(changes)

    def _next(self, changes: Changes) -> set[tuple[Any, str]] | None:
        """None at the end. The first time, it makes the watch, and returns when that is there."""
        try:
            return next(changes, None)
        except (OSError, RuntimeError) as error:  # the limit of inotify, for one; and what watchfiles calls an internal error
            log.error("saves are not seen any more: {error}; hx reload brings new code", error=error)
            return None

    # In the reactor thread.

    def _saved(self, paths: list[str]) -> None:
        if not self.running:
            return
        code = [path for path in paths if is_code(path)]
        if not code:
            self._tell({"changed": paths})
            return
        more = f" and {len(code) - NAMED} more" if len(code) > NAMED else ""
        log.info("saved: {names}{more}", names=", ".join(map(self._project.name, code[:NAMED])), more=more)
        _forget(code)
        self._restart()


def watch(reactor: Any, settings: Settings, restart: Callable[[], object], tell: Callable[[Mapping[str, Any]], object]) -> Watch:
    """The node for the current directory and those of ``--pythonpath``; of these, a home directory is not a project if there is another."""
    roots = [os.getcwd(), *settings.pythonpath]
    projects = [root for root in roots if os.path.realpath(root) not in (os.sep, os.path.realpath(os.path.expanduser("~")))]
    return Watch(reactor, Project(projects or roots), restart, tell)


def _forget(paths: Iterable[str]) -> None:
    """Remove what was compiled of them: Python goes by the second of the change and the size, in which two saves may look the same."""
    for path in paths:
        try:
            if path.endswith(".py"):
                os.unlink(cache_from_source(path))
        except (OSError, NotImplementedError):
            pass
