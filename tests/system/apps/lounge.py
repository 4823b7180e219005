"""A Django project in one file: who is logged in may chat, and staff may listen."""

import os
import threading
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command

settings.configure(
    SECRET_KEY="of the tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["LOUNGE_DATABASE"]}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "hendrix.django"],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    LOGIN_URL="/login",
)
django.setup()

from django.contrib.auth import get_user_model, login, logout  # noqa: E402 (after the setup)
from django.contrib.auth.decorators import login_required, permission_required  # noqa: E402
from django.contrib.auth.models import Permission  # noqa: E402
from django.contrib.sessions.models import Session  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.db import connection  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402

from hendrix import hey_joe  # noqa: E402

call_command("migrate", verbosity=0)


def log_in(request: HttpRequest) -> HttpResponse:
    user, _ = get_user_model().objects.get_or_create(username=request.GET["name"])
    if "staff" in request.GET:
        user.user_permissions.add(Permission.objects.get(codename="view_user"))
    login(request, user)
    return HttpResponse("welcome")


def log_out(request: HttpRequest) -> HttpResponse:
    user = request.user
    logout(request)
    hey_joe.close_for(user)
    return HttpResponse("bye")


def expire(request: HttpRequest) -> HttpResponse:
    Session.objects.all().delete()
    return HttpResponse("expired")


@login_required
def chat(request: HttpRequest, room: str) -> HttpResponse:
    def said(ws: Any, text: str) -> None:
        left_open = connection.connection is not None  # by the handler before
        get_user_model().objects.filter(pk=ws.user.pk).update(first_name=text)
        name = get_user_model().objects.get(pk=ws.user.pk).first_name
        ws.send(
            {
                "user": ws.user.username,
                "said": name,
                "room": ws.state["room"],
                "left_open": left_open,
                "on": threading.current_thread().name,
            }
        )

    hey_joe.accept(request, on_message=said, user=request.user, state={"room": room})
    request.session["room"] = room
    return HttpResponse(status=200)


@permission_required("auth.view_user", raise_exception=True)
def staff(request: HttpRequest) -> HttpResponse:
    hey_joe.accept(request, on_message=lambda ws, text: ws.send(text))
    return HttpResponse()


urlpatterns = [path("login", log_in), path("logout", log_out), path("expire", expire), path("chat/<room>", chat), path("staff", staff)]
application = WSGIHandler()
