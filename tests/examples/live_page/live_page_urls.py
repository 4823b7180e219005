"""The pages of the Django example, and one that hears its siblings and speaks to them."""

from __future__ import annotations

import json
import os

from django.http import HttpResponse, JsonResponse
from django.urls import include, path

from hendrix import hey_joe
from hendrix.siblings import irc, udp

TOPICS = ("irc.**", "udp.**", "echo", "crashing", "heard", "tick")  # the last one is heard when all are

PAGE = """<!doctype html>
<html lang="en"><title>Siblings</title><link rel="icon" href="/favicon.ico">
<script src="/.hendrix/hey_joe.js"></script>
<script>
  const got = [], states = [];
  const joe = new HeyJoe("/siblings/live").on("**", (payload, message) => got.push([message.topic, payload]));
  joe.onstate = (state) => states.push(state);
</script>
"""


@hey_joe.on("echo")
def heard(event):
    """Plain code of the site, in one of the workers."""
    hey_joe.publish("heard", {"line": event.payload, "pid": os.getpid()})


def page(request):
    return HttpResponse(PAGE)


def live(request):
    hey_joe.accept(request, topics=TOPICS, on_message=said)
    return HttpResponse()


def said(ws, message):
    """By the page: it speaks to a sibling."""
    what = json.loads(message)
    if "irc" in what:
        irc.say("#hx", what["irc"])
    else:
        udp.send("127.0.0.1", what["udp"], b"from the page")


def pid(request):
    return JsonResponse({"pid": os.getpid()})


urlpatterns = [path("siblings/", page), path("siblings/live", live), path("siblings/pid", pid), path("", include("mysite.urls"))]
