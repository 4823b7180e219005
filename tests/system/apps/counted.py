"""A site whose answers and tasks are counted: a route for each path, content in and out, and tasks that end in all ways."""

from __future__ import annotations

import os
import time

import flask

from hendrix import crosstown_traffic

app = flask.Flask("counted")


@app.get("/hello/<name>")
def hello(name: str) -> str:
    return f"hello {name}"


@app.post("/echo")
def echo() -> bytes:
    return flask.request.get_data()


@app.get("/broken")
def broken() -> str:
    raise ValueError("broken")


@app.get("/slow")
def slow() -> str:
    here = flask.request.args["here"]
    with open(here, "w") as file:
        file.write("here")
    while os.path.exists(here):
        time.sleep(0.01)
    return "done"


@app.get("/tasks/<int:code>")
def tasks(code: int) -> tuple[str, int]:
    @crosstown_traffic()
    def mail() -> None:
        pass

    @crosstown_traffic(no_go_status_codes=[])
    def bad() -> None:
        raise ValueError("bad")

    return "tasks", code
