"""An application whose views and tasks do as the query says, and tell the test what happens as it happens.

The query is JSON: {"n": 7, "size": 10, "stream": false, "status": "200 OK", "raises": null, "conn": 3, "tasks": [{"options": {}, ...}]}.
"""

from __future__ import annotations

import contextvars
import fcntl
import json
import os
import random
import socket
import struct
import threading
import time
from urllib.parse import unquote

from hendrix.channel import fast_connection, reactor_lane, response
from hendrix.crosstown import traffic
from hendrix.crosstown.traffic import crosstown_traffic, request_id

if "WIRE_TIMEOUT" in os.environ:
    for module in (fast_connection, reactor_lane, response):
        module.WIRE_TIMEOUT = float(os.environ["WIRE_TIMEOUT"])

if "QUEUE" in os.environ:
    traffic.serving._queue = int(os.environ["QUEUE"])

clients: dict[int, socket.socket] = {}
events: dict[str, threading.Event] = {}
mark: contextvars.ContextVar[int | None] = contextvars.ContextVar("mark", default=None)

control: socket.socket | None = None
FIONREAD = 0x541B


def event(name: str) -> threading.Event:
    return events.setdefault(name, threading.Event())


def tell(**message) -> None:
    if control is not None:
        control.send(json.dumps({"t": time.monotonic(), "thread": threading.get_ident(), **message}).encode())


def listen(control: socket.socket) -> None:
    """Takes the client's own sockets, so that a task can look at what the client could read, and opens gates."""
    while True:
        data, fds, _, _ = socket.recv_fds(control, 65536, 1)
        if not data:
            return
        message = json.loads(data)
        if "open" in message:
            event(message["open"]).set()
        else:
            clients[message["conn"]] = socket.socket(fileno=fds[0])
            tell(event="conn", n=message["conn"])


def readable(conn: int) -> int:
    """Bytes that have reached the client: all that ever did for TCP, those not yet read for a unix socket."""
    client = clients[conn]
    if client.family == socket.AF_UNIX:
        return struct.unpack("i", fcntl.ioctl(client, FIONREAD, bytes(4)))[0]
    return struct.unpack_from("Q", client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256), 128)[0]


def on_error(task, error) -> None:
    tell(event="on_error", n=int(task.name.split()[1].split(".")[0]), error=str(error))


def crossing(query: dict, index: int, spec: dict) -> None:
    got = readable(query["conn"]) if "conn" in query else None
    tell(event="start", n=query.get("n"), task=index, readable=got, mark=mark.get(), id=request_id())
    if "wait" in spec:
        event(spec["wait"]).wait(60)
    if "count" in spec:
        with open(spec["count"], "ab", 0) as file:
            file.write(f"{query['n']}.{index}\n".encode())
        if random.random() < 0.1:
            raise LookupError("a task that fails now and then")
    if "inner" in spec:
        decorate(query, index + 100, spec["inner"])
    if spec.get("raises"):
        raise LookupError(spec["raises"])
    tell(event="end", n=query.get("n"), task=index)


def decorate(query: dict, index: int, spec: dict) -> None:
    options = {"name": f"task {query.get('n')}.{index}.", **spec.get("options", {})}
    crosstown_traffic(**options)(lambda: crossing(query, index, spec))


def app(environ, start_response):
    query = json.loads(unquote(environ["QUERY_STRING"]) or "{}")
    before = mark.get()
    mark.set(query.get("n"))
    if environ.get("CONTENT_LENGTH"):
        environ["wsgi.input"].read()
    if "gate" in query:
        event(query["gate"]).wait(60)
    specs = query.get("tasks", [{}])
    for index, spec in enumerate(specs):
        if not query.get("late"):
            decorate(query, index, spec)
    if query.get("by_hand"):
        environ["hendrix.after_response"].append(lambda: (crosstown_traffic(lambda: crossing(query, 1, {})), crossing(query, 0, {})))
    if query.get("copied"):
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(after, query)).start()
    tell(event="view", n=query.get("n"), before=before, id=request_id())
    if query.get("raises") == "before":
        raise LookupError("the view")
    size = query.get("size", 10)
    fields = [("X-Thread", str(threading.get_ident()))]
    status = query.get("status", "200 OK")
    if query.get("file"):
        start_response(status, [*fields, ("Content-Length", str(size))])
        return environ["wsgi.file_wrapper"](open(query["file"], "rb"))
    if query.get("stream"):
        start_response(status, fields)
        return stream(query, size)
    start_response(status, [*fields, ("Content-Length", str(size))])
    return [b"x" * size]


def after(query: dict) -> None:
    event(f"copied {query['n']}").wait(60)
    decorate(query, 0, {})


def stream(query: dict, size: int):
    try:
        if query.get("raises") == "middle":
            yield b"x" * size
            raise LookupError("the stream")
        if query.get("endless"):
            while True:
                yield b"x" * size
        piece = max(1, size // 3)
        for start in range(0, size, piece):
            if query.get("late"):
                decorate(query, start // piece, query.get("tasks", [{}])[0])
            yield b"x" * min(piece, size - start)
    finally:
        tell(event="closed", n=query.get("n"))
        if query.get("closing"):
            decorate(query, 50, {})


crosstown_traffic.on_error = on_error
if "CONTROL" in os.environ:
    control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control.connect(os.environ["CONTROL"])
    threading.Thread(target=listen, args=(control,), daemon=True).start()
