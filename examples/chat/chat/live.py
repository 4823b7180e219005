"""What goes on between those who are here: the topics, and what is done with what a client says.

Messages are kept in the database, and published on the topic of their room when they are there. The hub keeps the latest for clients that
lose their connection; who was away for longer fetches them from the database.
"""

import json
from typing import Any

from django.contrib.auth.signals import user_logged_out
from django.dispatch import receiver

from chat.forms import SayForm
from chat.models import Mark, Message, Room
from hendrix import hey_joe

hey_joe.topic("chat.*", history=200)
hey_joe.topic("rooms", history=20)

REFUSED = 4400


def topics_of(room: Room) -> list[str]:
    """What somebody in a room hears of: what is said there, and elsewhere for the unread marks; who comes, goes and types; new rooms."""
    here = topic_of(room)
    return [here, "chat.*", f"$presence.{here}", f"typing.{room.slug}", "rooms"]


def topic_of(room: Room) -> str:
    """Where messages are published."""
    return f"chat.{room.slug}"


def entered(ws: Any) -> None:
    """A client is connected: tell it who is here."""
    ws.send({"here": hey_joe.presence(topic_of(ws.state["room"]))["who"]})


def heard(ws: Any, text: str | bytes) -> None:
    """A client says something over its WebSocket."""
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        ws.close(REFUSED, "that is no JSON object")
    elif answer := do(ws.user, ws.state["room"], said):
        ws.send(answer)


def do(user: Any, room: Room, said: dict[str, Any]) -> dict[str, Any] | None:
    """Do what a client asks for, whatever way it came; the answer is for that client alone."""
    if "text" in said:
        form = SayForm(said)
        if not form.is_valid():
            return {"refused": said.get("key"), "why": " ".join(error for errors in form.errors.values() for error in errors)}
        say(user, room, **form.cleaned_data)
    elif isinstance(said.get("read"), int) and 0 <= said["read"] < 2**63:
        read(user, room, said["read"])
    elif "typing" in said:
        hey_joe.publish(f"typing.{room.slug}", user.get_username())
    return None


def say(user: Any, room: Room, key: Any, text: str) -> Message:
    """Keep a message, then publish it. One that comes again is kept once, and published again: its author has not seen it."""
    message, _ = Message.objects.get_or_create(author=user, key=key, defaults={"room": room, "text": text})
    hey_joe.publish(topic_of(message.room), message.data())
    return message


def read(user: Any, room: Room, message: int) -> None:
    """The user has read so far, which never goes back."""
    mark, _ = Mark.objects.get_or_create(room=room, user=user)
    Mark.objects.filter(pk=mark.pk, message__lt=message).update(message=message)


@receiver(user_logged_out)
def leave(sender: Any, user: Any, **more: Any) -> None:
    """Who logs out leaves all rooms, in all windows."""
    if user is not None:
        hey_joe.close_for(user)
