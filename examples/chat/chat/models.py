"""Rooms, what was said in them, and how far each has read."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models.functions import Coalesce


class Room(models.Model):
    """A room; everybody who is logged in may enter."""

    slug = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=40)
    about = models.CharField(max_length=120, blank=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.name


class Message(models.Model):
    """What somebody said.

    The key is made by the client. It sends a message again when it has lost the connection before it saw it, and that must not double it.
    """

    room = models.ForeignKey(Room, models.CASCADE, related_name="messages")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    key = models.UUIDField()
    text = models.TextField(max_length=2000)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["author", "key"], name="said_once")]

    def __str__(self) -> str:
        return f"{self.author}: {self.text[:60]}"

    def data(self) -> dict[str, Any]:
        """For the browser."""
        return {"id": self.pk, "key": str(self.key), "who": self.author.get_username(), "text": self.text, "at": self.at.isoformat()}


class Mark(models.Model):
    """How far somebody has read in a room: up to this message."""

    room = models.ForeignKey(Room, models.CASCADE)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    message = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["room", "user"], name="one_mark")]

    def __str__(self) -> str:
        return f"{self.user} in {self.room}: {self.message}"


def rooms_for(user: Any) -> models.QuerySet[Room]:
    """All rooms, each with ``seen``, how far the user has read, ``unread``, how much others have said since, and ``last``, the latest."""
    marks = Mark.objects.filter(room=models.OuterRef("pk"), user=user).values("message")
    unread = models.Q(messages__pk__gt=models.F("seen")) & ~models.Q(messages__author=user)
    number = models.BigIntegerField()
    rooms = Room.objects.annotate(seen=Coalesce(models.Subquery(marks), 0, output_field=number))
    return rooms.annotate(
        unread=models.Count("messages", filter=unread), last=Coalesce(models.Max("messages__pk"), 0, output_field=number)
    ).order_by("pk")
