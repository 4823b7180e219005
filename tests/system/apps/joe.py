"""Publishes, subscribes and handles as its requests say; what happened in this process is told by GET."""

from __future__ import annotations

import json
import os
import threading
import time
from urllib.parse import parse_qs

from hendrix import crosstown_traffic, hey_joe

hey_joe.topic("kept.*", history=100)

calls: list[object] = []
lost: list[object] = []


@hey_joe.on("once.*")
def once(event):
    calls.append(["once", event.payload])
    if event.payload == "fail":
        raise RuntimeError("a string broke")


@hey_joe.on("each.*", everywhere=True)
def each(event):
    calls.append(["each", event.payload])


@hey_joe.consumer("work")
def work(event):
    calls.append(["work", event.payload])
    if event.payload == "die":
        os._exit(3)
    return {"done": event.payload}


@hey_joe.on("$queue.**")
def queue_lost(event):
    calls.append(["lost", event.payload["reason"]])


def publish(query):
    for payload in query["payload"]:
        hey_joe.publish(query["topic"][0], json.loads(payload))


def enqueue(query):
    for payload in query["payload"]:
        hey_joe.enqueue("work", json.loads(payload), then="once.done")


def wait(query):
    return repr(_raised(lambda: hey_joe.enqueue("work", 1).wait(5)))


def _raised(call):
    try:
        return call()
    except Exception as error:
        return type(error).__name__


def crosstown(query):
    @crosstown_traffic()
    def task():
        publish(query)


VIEWS = {
    "publish": publish,
    "enqueue": enqueue,
    "wait": wait,
    "crosstown": crosstown,
    "position": lambda query: hey_joe.position(),
    "history": lambda query: [event.payload for event in hey_joe.history(query["topic"][0])],
    "presence": lambda query: hey_joe.presence(query["topic"][0]),
    "calls": lambda query: {"pid": os.getpid(), "calls": calls},
    "thread": lambda query: threading.Thread(target=publish, args=(query,)).start(),
    "sleep": lambda query: time.sleep(0.05),
}


def app(environ, start_response):
    answer = VIEWS[environ["PATH_INFO"].strip("/")](parse_qs(environ["QUERY_STRING"]))
    start_response("200 OK", [("Content-Type", "application/json"), ("X-Pid", str(os.getpid()))])
    return [json.dumps(answer).encode()]
