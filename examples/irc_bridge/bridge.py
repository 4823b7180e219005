"""A web page that talks to an IRC channel: what is said on either side is heard on both. Plain WSGI."""

import json
import os
import re
from html import escape
from pathlib import Path

from hendrix import hey_joe
from hendrix.siblings import irc

NETWORK = "net"  # as the sibling is named
CHANNEL = os.environ.get("BRIDGE_CHANNEL", "#hx")
FROM_IRC, FROM_WEB = irc.topic_of(NETWORK, CHANNEL), "web.said"
LONGEST = 300
PAGE = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
HEADERS = [
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'"),
    ("Cache-Control", "no-store"),
]

hey_joe.topic(FROM_IRC, history=50)
hey_joe.topic(FROM_WEB, history=50)


def application(environ, start_response):
    """The page, and the connection that it opens."""
    path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
    if path == "/live":
        hey_joe.accept(environ, topics=(FROM_IRC, FROM_WEB), on_message=said)
        start_response("200 OK", [])
        return []
    if path != "/" or method not in ("GET", "HEAD"):
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"There is one page: /\n"]
    content = page().encode()
    start_response("200 OK", HEADERS)
    return [content]


def page():
    """With what was said last; the id is the one from which the browser goes on."""
    since = hey_joe.position()
    past = sorted([*hey_joe.history(FROM_IRC), *hey_joe.history(FROM_WEB)], key=lambda event: event.time)
    lines = [{"id": event.id, "topic": event.topic, "time": event.time, **event.payload} for event in past[-50:]]
    data = json.dumps({"since": since, "lines": lines, "irc": FROM_IRC, "web": FROM_WEB}).replace("<", "\\u003c")
    return PAGE.replace("{{channel}}", escape(CHANNEL)).replace("{{data}}", data)


def said(ws, message):
    """By somebody on the page: to the channel, and to all who have the page open."""
    try:
        given = json.loads(message)
        nick, text = str(given["nick"]), " ".join(str(given["text"]).split())[:LONGEST]
    except (ValueError, TypeError, KeyError):
        return
    if text and re.fullmatch(r"[\w-]{1,20}", nick):
        irc.say(CHANNEL, f"<{nick}> {text}", sibling=NETWORK)
        hey_joe.publish(FROM_WEB, {"nick": nick, "text": text, "kind": "message"})
