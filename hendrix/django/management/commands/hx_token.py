"""``manage.py hx_token TOPIC``: make a token by which others publish over HTTP, signed with the secret of the project."""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from hendrix.hey_joe.tokens import sign


class Command(BaseCommand):  # type: ignore[misc]
    """The command."""

    help = "Make a token by which others publish over HTTP. Signed with HENDRIX_SECRET, or else with the SECRET_KEY."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("topics", nargs="+", help="topics or patterns that it is for: stock.ACME, or 'stock.*'")
        parser.add_argument("--seconds", type=float, default=3600.0, help="how long it is valid [default: 3600]")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.stdout.write(sign(os.environ.get("HENDRIX_SECRET") or settings.SECRET_KEY, options["topics"], options["seconds"]))
        except ValueError as error:
            raise CommandError(str(error)) from None
