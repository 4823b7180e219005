"""Connections of each kind, in a bare application: the path says what its handlers do."""

import json
import os
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from hendrix import crosstown_traffic, hey_joe

hey_joe.topic("chat.**", history=100)
hey_joe.topic("news.**", history=100)
hey_joe.topic("free.**", history=10)
hey_joe.topic("strict", policy="disconnect")

seen: list[Any] = []
"""What handlers want tests to know; /seen gives it."""


def echo(ws: Any, message: Any) -> None:
    ws.send(message)


def slow(ws: Any, message: str) -> None:
    seen.append(["slow", message])
    time.sleep(float(message))
    ws.send(f"slept {message}")


def hold(ws: Any, message: str) -> None:
    """Block until the file is there that the message names."""
    while not os.path.exists(message):
        time.sleep(0.01)
    ws.send("released")


def fail(ws: Any, message: str) -> None:
    if message == "fail":
        raise ValueError("as asked")
    ws.send(message)


def act(ws: Any, message: str) -> None:
    """A message names a method and its arguments."""
    name, *arguments = json.loads(message)
    if name == "flood":
        for number in range(arguments[0]):
            if not ws.send(f"{number:7}" + "x" * arguments[1]):
                seen.append(["cut", number])
                return
    elif name == "about":
        ws.send({"id": ws.id, "user": ws.user, "state": ws.state, "subprotocol": ws.subprotocol})
    else:
        getattr(ws, name)(*arguments)


def note_open(ws: Any) -> None:
    seen.append(["open", ws.path])
    ws.send("welcome")


def note_close(ws: Any, code: int) -> None:
    seen.append(["close", ws.path, code])


hey_joe.register_followup("states", lambda participant: participant.sendMessage(b'["states","of joy"]'))

HANDLERS: dict[str, dict[str, Any]] = {
    "/echo": {"on_message": echo},
    "/slow": {"on_message": slow},
    "/hold": {"on_message": hold},
    "/fail": {"on_message": fail, "on_close": note_close},
    "/forgive": {"on_message": fail, "on_close": note_close, "keep_on_error": True},
    "/act": {"on_message": act, "on_open": note_open, "on_close": note_close, "user": "jimi", "state": {"guitar": "strat"}},
    "/topics": {"topics": ["news.*", "chat.lobby"], "allow": ["free.**"], "user": "noel"},
    "/streams": {"topics": ["chat.lobby"], "on_message": echo},
    "/long": {"topics": "long"},
    "/strict": {"topics": "strict"},
    "/old": {"allow": ["**"]},
    "/idle": {"idle_timeout": 1},
    "/beat": {"heartbeat": 1},
    "/autobahn": {"on_message": echo, "max_message": 32 << 20},
    "/plain": {"on_message": echo, "compress": False},
    "/protocols": {"on_message": act, "subprotocols": ["chat.v2", "chat.v1"]},
    "/origins": {"on_message": echo, "origins": ["https://*.example.com"]},
}


def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    body = b"ordinary\n"
    if path == "/seen":
        body = json.dumps(seen).encode()
    elif path == "/publish":
        hey_joe.publish(query["topic"], json.load(environ["wsgi.input"]))
    elif path == "/broadcast":
        hey_joe.broadcast(json.load(environ["wsgi.input"]))
    elif path == "/presence":
        body = json.dumps(hey_joe.presence(query["topic"])).encode()
    elif path == "/send":
        hey_joe.send_to(query["id"], query["text"])
    elif path == "/close":
        hey_joe.close_for(query["user"], code=int(query.get("code", 1008)))
    elif path == "/page":
        body = b'<!doctype html><title>a page</title><script src="/.hendrix/hey_joe.js"></script>'
    elif path.startswith("/streams") and "HTTP_UPGRADE" in environ:
        query["status"] = "403 No WebSockets here"
    elif (first := "/" + path.split("/")[1]) in HANDLERS:
        connection = hey_joe.accept(environ, **HANDLERS[first])
        if "early" in query:
            connection.send(query["early"])
        if "task" in query:
            crosstown_traffic.run(seen.append, ["task", query["task"]])
    status = query.get("status", "200 OK")
    fields = [("Content-Type", "text/html"), ("Content-Length", str(len(body))), ("Set-Cookie", "guitar=strat"), ("X-View", "yes")]
    start_response(status, [*fields, ("X-Process", str(os.getpid()))])
    return [body]
