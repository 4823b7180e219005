"""Where the form of the log's lines is settled: every launcher opens the log in its own way, and keeps its options.

Under twistd's command line the observer is made here, by twistd's own code, before twistd would make it: so its first lines have the form,
too. Elsewhere (a ``.tac``, `HendrixDeploy`) the observers that write to a file get it at the start. What ``--logger`` and ``--syslog``
name is left alone, and so is the log of twist, unless a form is asked for by name: twist has a ``--log-format`` itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.application.service import IServiceCollection
from twisted.logger import ILogObserver, globalLogPublisher

from hendrix.status.log_lines import reform


class LogForm:
    """
    :param form: "auto", "text" or "json".
    :param launcher: the options of twistd or twist; empty elsewhere.
    """

    def __init__(self, form: str, launcher: Mapping[str, Any], reactor: Any) -> None:
        self._form, self._launcher, self._reactor = form, launcher, reactor
        self._by_twist = bool(launcher) and "nodaemon" not in launcher
        self._theirs = bool(launcher.get("logger") or launcher.get("syslog"))
        self._done = False

    def adopt(self, application: Any) -> None:
        """twistd has an application, and no observer yet."""
        settable = hasattr(application, "setComponent") and IServiceCollection(application, None) is not None
        if not self._launcher or self._by_twist or self._theirs or not settable:
            return
        from twisted.scripts._twistd_unix import UnixAppLogger

        observer = UnixAppLogger(self._launcher)._getLogObserver()
        reform(observer, self._form)
        application.setComponent(ILogObserver, observer)
        self._done = True

    def apply(self) -> None:
        """The log has begun, or is about to."""
        if self._done or self._theirs or (self._by_twist and self._form == "auto"):
            return
        self._done = True
        self._apply()
        if self._by_twist:
            self._reactor.callWhenRunning(self._apply)

    def _apply(self) -> None:
        for observer in globalLogPublisher._observers:
            reform(observer, self._form)
