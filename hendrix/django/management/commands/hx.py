"""``manage.py hx``: hendrix for this project, in development; with a command behind it, as ``manage.py hx stop``, that one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from hendrix.cli import COMMANDS, main


class Command(BaseCommand):  # type: ignore[misc]
    """The command."""

    help = "Serve this project for development, by hendrix: hx --dev. Its options are those of hx: see hx help."
    requires_system_checks: Sequence[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("words", nargs="*", help="a command or options of hx")

    def run_from_argv(self, argv: list[str]) -> None:
        """Not by Django's parser: the options are of hendrix and twistd."""
        main(words_for(argv[2:], os.path.dirname(os.path.abspath(argv[0]))))

    def handle(self, *args: Any, **options: Any) -> None:
        main(words_for(options["words"], os.getcwd()))


def words_for(words: Sequence[str], project: str) -> list[str]:
    """What follows ``hx``.

    :param project: the directory of ``manage.py``.
    """
    if words and words[0] in COMMANDS:
        return list(words)
    return ["--dev", f"--pythonpath={project}", *words]
