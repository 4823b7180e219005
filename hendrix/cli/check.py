"""``hx check``: would it start? All that can be tried without binding a port or serving is tried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.scripts.twistd import ServerOptions  # type: ignore[attr-defined]

from hendrix.channel.sockets import Sockets
from hendrix.cli.serve import divide
from hendrix.errors import ConfigurationError
from hendrix.launch import explain
from hendrix.options import Options
from hendrix.service import makeService
from hendrix.tree import data, render
from hendrix.wsgi.loading import load


def run(words: Sequence[str]) -> None:
    """Load the application, the endpoints and the certificates; print what would run. Exit code 1 with the reason if it would not."""
    options = Options()
    options.parseOptions(divide(words, ServerOptions())[1])
    settings = options.to_settings()
    root = makeService(options)
    try:
        sockets = root.getServiceNamed("sockets")
        assert isinstance(sockets, Sockets)
        sockets.check()
        status: Any = root.namedServices.get("status")
        if status is not None:
            status.check()
        _, name = load(settings)
        if settings.serve:
            for server in root.getServiceNamed("servers"):
                server.check()
        if settings.mount:
            from hendrix.channel.resources import Resources

            Resources(settings.mount).load()
    except ConfigurationError as error:
        raise SystemExit(explain(error)) from None
    print(render(data(root)) + f"\n{name} is loaded, and its endpoints can be made")
