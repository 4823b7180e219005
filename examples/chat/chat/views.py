"""The pages, and the way in for those who stay."""

import json
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from chat import live
from chat.forms import RoomForm, SayForm
from chat.models import Room, rooms_for
from hendrix import hey_joe
from hendrix.hey_joe.client_files import script_path

SHOWN = 50  # messages at a time
LOGGED_OUT = 4401


@login_required
@require_GET
def front(request: HttpRequest) -> HttpResponse:
    """Go on where the user was."""
    room = Room.objects.filter(slug=request.session.get("room", "")).first() or Room.objects.first()
    return redirect("room", room.slug) if room else redirect("rooms")


@login_required
@require_GET
def room(request: HttpRequest, slug: str) -> HttpResponse:
    """A room: the latest messages, and the id from which on the client hears of what is new."""
    position = hey_joe.position()  # before the database is read, so that nothing is missed between the two; what comes twice has one id
    rooms = list(rooms_for(request.user))
    here = next((room for room in rooms if room.slug == slug), None) or get_object_or_404(Room, slug=slug)
    latest = list(here.messages.select_related("author").order_by("-pk")[: SHOWN + 1])
    request.session["room"] = slug
    context = {
        "rooms": rooms,
        "room": here,
        "position": position,
        "messages": latest[SHOWN - 1 :: -1],
        "earlier": len(latest) > SHOWN,
        "here": sorted({request.user.get_username(), *hey_joe.presence(live.topic_of(here))["who"]}),
        "script": script_path(),
        "key": uuid4(),
    }
    return render(request, "chat/room.html", context)


@require_GET
def connect(request: HttpRequest, slug: str) -> HttpResponse:
    """Let a client stay. One whose session has ended is told so: it would come back for ever."""
    if not request.user.is_authenticated:
        hey_joe.accept(request, on_open=lambda ws: ws.close(LOGGED_OUT, "logged out"))
        return HttpResponse()
    here = get_object_or_404(Room, slug=slug)
    hey_joe.accept(
        request,
        topics=live.topics_of(here),
        on_open=live.entered,
        on_message=live.heard,
        user=request.user,
        state={"room": here},
    )
    return HttpResponse()


@login_required
@require_POST
def say(request: HttpRequest, slug: str) -> HttpResponse:
    """The same without a WebSocket: JSON of a script that has an event stream, or the form of a browser without scripts."""
    here = get_object_or_404(Room, slug=slug)
    if request.content_type == "application/json":
        try:
            said: Any = json.loads(request.body)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            return HttpResponse("That is no JSON object.\n", status=HTTPStatus.BAD_REQUEST, content_type="text/plain")
        return JsonResponse(live.do(request.user, here, said) or {})
    form = SayForm(request.POST)
    if form.is_valid():
        live.say(request.user, here, **form.cleaned_data)
    return redirect("room", slug)


@login_required
@require_GET
def messages(request: HttpRequest, slug: str) -> HttpResponse:
    """Messages ``?before=`` or ``?after=`` one, the oldest first; whether there are more; and how much is unread in each room."""
    here = get_object_or_404(Room, slug=slug)
    try:
        before, after = (int(request.GET.get(name, 0)) for name in ("before", "after"))
    except ValueError:
        return HttpResponse("before and after are ids of messages.\n", status=HTTPStatus.BAD_REQUEST, content_type="text/plain")
    found = here.messages.select_related("author")
    some = list(found.filter(pk__lt=before).order_by("-pk")[: SHOWN + 1] if before else found.filter(pk__gt=after)[: SHOWN + 1])
    shown = some[:SHOWN]
    data = [message.data() for message in (reversed(shown) if before else shown)]
    unread = {room.slug: [room.unread, room.last] for room in rooms_for(request.user)}
    return JsonResponse({"messages": data, "more": len(some) > SHOWN, "unread": unread})


@login_required
def rooms(request: HttpRequest) -> HttpResponse:
    """Open a new room, of which all hear who are connected."""
    form = RoomForm(request.POST or None)
    if form.is_valid():
        new = form.save()
        hey_joe.publish("rooms", {"slug": new.slug, "name": new.name})
        return redirect("room", new.slug)
    context = {"form": form, "rooms": rooms_for(request.user)}
    return render(request, "chat/rooms.html", context, status=HTTPStatus.BAD_REQUEST if form.errors else HTTPStatus.OK)
