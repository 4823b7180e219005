"""Publishes, enqueues and asks as its requests say; each call of a handler is a line in the file of the environment's CALLS."""

from __future__ import annotations

import json
import os
import threading
from urllib.parse import parse_qs

from hendrix import crosstown_traffic, hey_joe

hey_joe.topic("kept.*", history=100)


def told(what, payload):
    line = json.dumps({"what": what, "payload": payload, "pid": os.getpid()}) + "\n"
    with open(os.environ["CALLS"], "a") as file:
        file.write(line)


@hey_joe.on("once.*")
def once(event):
    told("once", event.payload)
    if event.payload == "fail":
        raise RuntimeError("a string broke")


@hey_joe.on("each.*", everywhere=True)
def each(event):
    told("each", event.payload)


@hey_joe.consumer("work")
def work(event):
    told("work", event.payload)
    if event.payload == "die":
        os._exit(3)
    return {"done": event.payload}


@hey_joe.on("$queue.**")
def lost(event):
    told("lost", event.payload["reason"])


def publish(query):
    for payload in query["payload"]:
        hey_joe.publish(query["topic"][0], json.loads(payload))


def enqueue(query):
    for payload in query["payload"]:
        hey_joe.enqueue(query.get("queue", ["work"])[0], json.loads(payload), then="once.done")


def wait(query):
    try:
        return hey_joe.enqueue("work", "wait").wait(5)
    except hey_joe.WouldWait as error:
        return str(error)


def crosstown(query):
    @crosstown_traffic()
    def task():
        publish(query)


VIEWS = {
    "publish": publish,
    "enqueue": enqueue,
    "wait": wait,
    "crosstown": crosstown,
    "thread": lambda query: threading.Thread(target=publish, args=(query,)).start(),
    "position": lambda query: hey_joe.position(),
    "history": lambda query: [event.payload for event in hey_joe.history(query["topic"][0])],
    "presence": lambda query: hey_joe.presence(query["topic"][0]),
    "pid": lambda query: os.getpid(),
}


def app(environ, start_response):
    answer = VIEWS[environ["PATH_INFO"].strip("/")](parse_qs(environ["QUERY_STRING"]))
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
