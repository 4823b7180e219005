"""``manage.py demo``: a database to look at, with an administrator whose password everybody knows."""

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from guestbook.models import Entry

ENTRIES = [
    ("Ada", "The answer came back before I had finished asking."),
    ("Jimi", "Played all night long, and not one connection was dropped."),
    ("Grace", "I uploaded a moth. The checksum was right."),
]


class Command(BaseCommand):
    """Set up the demonstration: tables, the user admin/admin and some entries. Running it again changes nothing."""

    help = "Create the tables, an administrator admin/admin and sample entries. For development only."

    def handle(self, *args: Any, **options: Any) -> None:
        """Refuse where DEBUG is off: a known password must never reach the internet."""
        if not settings.DEBUG:
            raise CommandError("demo creates a user whose password everybody knows: it needs DEBUG (SITE_DEBUG=1).")
        call_command("migrate", verbosity=0)
        users = get_user_model()
        if not users.objects.filter(username="admin").exists():
            users.objects.create_superuser("admin", "admin@localhost", "admin")
        if not Entry.objects.exists():
            for name, text in ENTRIES:
                Entry.objects.create(name=name, text=text)
        self.stdout.write(f"{settings.DATABASE} is ready; log in at /admin/ as admin, password admin.")
