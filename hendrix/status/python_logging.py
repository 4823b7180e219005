"""The `logging` of the application becomes part of the log."""

from __future__ import annotations

import logging
from typing import Final

from twisted.logger import Logger, LogLevel, globalLogBeginner
from twisted.python.failure import Failure

LEVELS: Final = (
    (logging.CRITICAL, LogLevel.critical),
    (logging.ERROR, LogLevel.error),
    (logging.WARNING, LogLevel.warn),
    (logging.INFO, LogLevel.info),
)


class LogHandler(logging.Handler):
    """A handler of `logging` that logs through Twisted: for the ``LOGGING`` of Django, or ``logging.basicConfig(handlers=[LogHandler()])``.

    Any thread.
    """

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level = next((ours for theirs, ours in LEVELS if record.levelno >= theirs), LogLevel.debug)
            kind, error, traceback = record.exc_info or (None, None, None)
            text = record.getMessage() if self.formatter is None else self.format(record)
            more = {"log_failure": Failure(error, kind, traceback)} if error is not None and self.formatter is None else {}
            Logger(namespace=record.name).emit(level, "{text}", text=text, **more)
        except Exception:
            self.handleError(record)


def hear_python_logging() -> None:
    """From now on records that no handler wants become part of the log, instead of lines on standard error.

    An application that has handlers of its own has it its way: the handler of last resort is asked only where there is none. Without
    effect while nothing has been done about Twisted's own log.
    """
    if getattr(globalLogBeginner, "_temporaryObserver", None) is None and not isinstance(logging.lastResort, LogHandler):
        logging.lastResort = LogHandler()
