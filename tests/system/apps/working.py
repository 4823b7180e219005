"""What can happen to a worker, by path. Imported anew by each worker, it fails or dies if WORKING_TROUBLE, a file, says so."""

import json
import os
import threading
import time
from pathlib import Path
from urllib.parse import parse_qsl

TROUBLE = Path(os.environ.get("WORKING_TROUBLE", "/nonexistent"))
VERSION = TROUBLE.read_text() if TROUBLE.exists() else ""
HOARD = []

if VERSION == "broken":
    raise RuntimeError("this version is broken")
if VERSION == "deadly":
    threading.Timer(0.1, os._exit, [3]).start()


def app(environ, start_response):
    query = dict(parse_qsl(environ["QUERY_STRING"]))
    return VIEWS[environ["PATH_INFO"]](environ, start_response, query)


def about(environ, start_response, query):
    found = {"pid": os.getpid(), "version": VERSION, "path": os.environ.get("PYTHONPATH")}
    for name in ("wsgi.multiprocess", "wsgi.url_scheme", "REMOTE_ADDR", "SERVER_PORT"):
        found[name] = environ.get(name)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(found).encode()]


def hold(environ, start_response, query):
    """Leave a file, and answer when it is gone."""
    wait_here(Path(query["here"]))
    return about(environ, start_response, query)


def drip(environ, start_response, query):
    """One piece, then the same."""
    start_response("200 OK", [])
    yield b"first"
    wait_here(Path(query["here"]))
    yield b"last"


def wait_here(here):
    here.write_text(str(os.getpid()))
    while here.exists():
        time.sleep(0.01)


def block_the_reactor(environ, start_response, query):
    from twisted.internet import reactor

    reactor.callFromThread(stand_still)
    return about(environ, start_response, query)


def stand_still():
    time.sleep(3600)


def die(environ, start_response, query):
    os._exit(3)


def echo(environ, start_response, query):
    start_response("200 OK", [])
    return [environ["wsgi.input"].read()]


def grow(environ, start_response, query):
    HOARD.append(b"x" * int(query["size"]))
    return about(environ, start_response, query)


VIEWS = {"/": about, "/hold": hold, "/drip": drip, "/block": block_the_reactor, "/die": die, "/echo": echo, "/grow": grow}
