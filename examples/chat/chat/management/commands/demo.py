"""``manage.py demo``: a chat to look at, with users whose password everybody knows."""

from typing import Any
from uuid import uuid4

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from chat.models import Message, Room

USERS = ["jimi", "mitch", "noel", "janis"]
ROOMS = [
    ("studio", "Studio", "What is being recorded, and when"),
    ("on-tour", "On tour", "Buses, hotels, set lists"),
    ("gear", "Gear", "Amplifiers, pedals, and who borrowed them"),
]
SAID = {
    "studio": [
        ("mitch", "The drums are up and miked. Whenever you are ready."),
        ("noel", "On my way. Is the bass amp still the loud one?"),
        ("mitch", "It only has the one setting."),
        ("janis", "I have a take of the second verse that I would like you all to hear:\nslower, and without the reverb."),
        ("jimi", "Bring it. Eddie left us the whole night, we can take our time."),
        ("jimi", "And nobody touches the tape before I have heard it!"),
        ("noel", "The house rules are still at https://example.com/rules"),
    ],
    "on-tour": [("noel", "The bus leaves at seven. In the morning."), ("mitch", "There are two sevens?")],
    "gear": [("jimi", "Who has my wah pedal?"), ("janis", "Check your coat.")],
}


class Command(BaseCommand):
    """Set up the demonstration: tables, users, rooms, and some messages. Running it again changes nothing."""

    help = f"Create the tables, the users {', '.join(USERS)} (password: demo), rooms and messages. For development only."

    def handle(self, *args: Any, **options: Any) -> None:
        """Refuse where DEBUG is off: a known password must never reach the internet."""
        if not settings.DEBUG:
            raise CommandError("demo creates users whose password everybody knows: it needs DEBUG (CHAT_DEBUG=1).")
        call_command("migrate", verbosity=0)
        users = get_user_model()
        for name in USERS:
            if not users.objects.filter(username=name).exists():
                users.objects.create_user(name, password="demo")
        if not Room.objects.exists():
            for slug, name, about in ROOMS:
                room = Room.objects.create(slug=slug, name=name, about=about)
                for who, text in SAID[slug]:
                    Message.objects.create(room=room, author=users.objects.get(username=who), key=uuid4(), text=text)
        self.stdout.write(f"{settings.DATABASE} is ready; log in as {' or '.join(USERS)}, password demo.")
