"""The same view in Flask, Pyramid and Bottle; the first segment of the path says which."""

from collections.abc import Callable, Iterable
from typing import Any

import bottle
import flask
from pyramid.config import Configurator
from pyramid.response import Response

from hendrix import hey_joe

by_flask = flask.Flask("lounge")
by_bottle = bottle.Bottle()


def accept(request: Any, name: str) -> None:
    hey_joe.accept(request, on_message=lambda ws, text: ws.send(f"{name}: {text}"))


@by_flask.get("/<name>/echo", websocket=True)  # without it Flask answers 400 to what asks for a WebSocket, and with it to all else
@by_flask.get("/<name>/echo")
def flask_view(name: str) -> flask.Response:
    accept(flask.request, name)
    response = flask.make_response("")
    response.set_cookie("by", name)
    return response


@by_flask.get("/<name>/refused", websocket=True)
def flask_refused(name: str) -> Any:
    accept(flask.request, name)
    flask.abort(403)


@by_bottle.get("/<name>/echo")  # type: ignore[misc, untyped-decorator]
def bottle_view(name: str) -> str:
    accept(bottle.request, name)
    bottle.response.set_cookie("by", name)
    return ""


@by_bottle.get("/<name>/refused")  # type: ignore[misc, untyped-decorator]
def bottle_refused(name: str) -> None:
    accept(bottle.request, name)
    bottle.abort(403)


def pyramid_view(request: Any) -> Response:
    name = request.matchdict["name"]
    accept(request, name)
    response = Response(status=403 if request.path.endswith("/refused") else 200)
    response.set_cookie("by", name)
    return response


with Configurator() as config:
    for route in ("echo", "refused"):
        config.add_route(route, f"/{{name}}/{route}")
        config.add_view(pyramid_view, route_name=route)
    by_pyramid = config.make_wsgi_app()


def by_generator(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """As PEP 3333 allows: nothing happens before the first piece is asked for."""
    name = environ["PATH_INFO"].split("/")[1]
    accept(environ, name)
    start_response("403 Forbidden" if environ["PATH_INFO"].endswith("/refused") else "200 OK", [("Set-Cookie", f"by={name}")])
    yield b"let in"


APPLICATIONS = {"flask": by_flask, "pyramid": by_pyramid, "bottle": by_bottle, "generator": by_generator}


def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    application: Any = APPLICATIONS[environ["PATH_INFO"].split("/")[1]]
    pieces: Iterable[bytes] = application(environ, start_response)
    return pieces
