"""``manage.py hx_publish TOPIC JSON``: send a payload to all subscribers of a topic."""

from __future__ import annotations

import json
import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hendrix.client import CommandError as Refused, connect
from hendrix.errors import ConfigurationError

# Seconds that the running hendrix has to answer.
PATIENCE = 10.0


class Command(BaseCommand):  # type: ignore[misc]
    """The command."""

    help = "Send a payload to all subscribers of a topic, by the hendrix that runs in this directory."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("topic", help="chat.lobby, for one")
        parser.add_argument("payload", help='as JSON: \'{"text": "hello"}\'')
        parser.add_argument("--control", default=os.environ.get("HENDRIX_CONTROL"), help="the control socket of the hendrix that is meant")
        parser.add_argument("--pidfile", default=None, help="its pid file")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            payload = json.loads(options["payload"])
        except ValueError as error:
            raise CommandError(f"{options['payload']}: it is not JSON ({error}); text is given as '\"text\"'") from None
        pidfile = options["pidfile"]
        try:
            with connect(None if pidfile else options["control"] or None, pidfile, PATIENCE) as client:
                client.ask("publish", topic=options["topic"], payload=payload)
        except (ConfigurationError, Refused, TimeoutError) as error:
            raise CommandError(str(error)) from None
