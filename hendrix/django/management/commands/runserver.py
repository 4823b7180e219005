"""``manage.py runserver``, by hendrix: where ``"hendrix.django"`` stands above ``"django.contrib.staticfiles"`` in INSTALLED_APPS."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.management.commands.runserver import Command as DjangoCommand
from django.db import connections
from twisted.internet.endpoints import quoteStringArgument

from hendrix.cli import main


class Command(DjangoCommand):  # type: ignore[misc]
    """The command: the arguments of Django's, and its checks of them."""

    help = "Serve this project for development, by hendrix."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        for flag in ("--nostatic", "--insecure"):
            parser.add_argument(flag, action="store_true", help="Of staticfiles' runserver; hendrix does not do this.")

    def run(self, **options: Any) -> None:
        """Instead of Django's own server, when its ``handle`` has understood the address."""
        if options.get("nostatic"):
            raise CommandError('--nostatic: hendrix serves static files where DEBUG is on and "django.contrib.staticfiles" is installed')
        if options.get("insecure"):
            raise CommandError("--insecure: hendrix serves static files only where DEBUG is on; collect them for production")
        if options["use_reloader"] and find_spec("watchfiles") is None:
            raise CommandError(
                "hendrix sees what is saved by watchfiles, which is not installed: pip install 'hendrix[dev-server]', or give --noreload; "
                'for the runserver of Django put "hendrix.django" below "django.contrib.staticfiles" in INSTALLED_APPS'
            )
        if options.get("no_color"):
            os.environ["NO_COLOR"] = "1"
        self.check_migrations()
        connections.close_all()
        main(self.words(**options))

    def words(self, use_reloader: bool = True, use_threading: bool = True, **options: Any) -> list[str]:
        """What follows ``hx`` to serve as these options of runserver say."""
        kind = "tcp6" if self.use_ipv6 else "tcp"
        project = os.path.dirname(os.path.abspath(sys.argv[0])) if os.path.basename(sys.argv[0]) == "manage.py" else os.getcwd()
        return [
            "--dev",
            f"--pythonpath={project}",
            f"--listen={kind}:{self.port}:interface={quoteStringArgument(self.addr)}",
            *([] if use_reloader else ["--no-reload"]),
            *([] if use_threading else ["--threads=1"]),
        ]
