"""The ways to launch hendrix, as command lines: each door takes the same options."""

from __future__ import annotations

import contextlib
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Literal

Door = Literal["twistd", "daemon", "twist", "hx", "tac", "deploy"]

_REPEATABLE: Final = ("listen", "pythonpath", "trusted_proxy")
_TAC: Final = """\
from twisted.application.service import Application
from hendrix import makeService
application = Application("site")
makeService({keywords!r}).setServiceParent(application)
"""
_DEPLOY: Final = """\
from hendrix import HendrixDeploy
HendrixDeploy(options={keywords!r}).run()
"""


def command(door: Door, options: Sequence[str], before: Sequence[str], directory: Path) -> list[str]:
    """The command line of a door.

    :param options: of hendrix, as ``--name=value``.
    :param before: options of twistd, twist or hx themselves.
    :param directory: where a .tac or a script is written, and where a daemon keeps its ``pid`` and ``log``.
    """
    scripts = sysconfig.get_path("scripts")
    match door:
        case "twistd":
            return [f"{scripts}/twistd", "--nodaemon", "--pidfile=", *before, "hendrix", *options]
        case "daemon":
            own = [f"--pidfile={directory}/pid", f"--logfile={directory}/log"]
            return [f"{scripts}/twistd", *own, *before, "hendrix", *options]
        case "twist":
            return [f"{scripts}/twist", "--log-format=text", *before, "hendrix", *options]
        case "hx":
            return [f"{scripts}/hx", *before, *options]
        case "tac":
            tac = directory / "site.tac"
            tac.write_text(_TAC.format(keywords=keywords(options)))
            return [f"{scripts}/twistd", "--nodaemon", "--pidfile=", *before, f"--python={tac}"]
        case "deploy":
            script = directory / "serve.py"
            script.write_text(_DEPLOY.format(keywords=keywords(options)))
            return [sys.executable, str(script)]


def keywords(options: Iterable[str]) -> dict[str, object]:
    """Options as the keywords of a .tac and of HendrixDeploy: ``--max-head=512`` is ``{"max_head": 512}``."""
    found: dict[str, object] = {}
    for option in options:
        flag, _, value = option.partition("=")
        name = flag.removeprefix("--").replace("-", "_")
        if name in _REPEATABLE:
            found[name] = (*found.get(name, ()), value)  # type: ignore[misc]
        else:
            found[name] = _number(value)
    return found


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text
