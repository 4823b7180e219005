"""`hendrix.metrics.routes`: what real frameworks call the route of a request."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any
from wsgiref.util import setup_testing_defaults

import bottle
import flask
import pytest
from pyramid.config import Configurator
from pyramid.response import Response

from hendrix.metrics.routes import route_of, tell_routes


def ask(application: Callable[..., Any], path: str) -> str:
    """Its route."""
    environ: dict[str, Any] = {"PATH_INFO": path}
    setup_testing_defaults(environ)
    answer = application(environ, lambda *_: None)
    list(answer)
    getattr(answer, "close", lambda: None)()
    return route_of(environ)


def by_flask() -> Callable[..., Any]:
    application = flask.Flask("routes")
    application.add_url_rule("/users/<int:number>", "user", lambda number: "")
    return application


def by_bottle() -> Callable[..., Any]:
    application: Callable[..., Any] = bottle.Bottle()
    application.route("/users/<number:int>", callback=lambda number: "")  # type: ignore[attr-defined]
    return application


class Around:
    """Middleware."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self.app = app

    def __call__(self, *call: Any) -> Any:
        return self.app(*call)


def by_pyramid() -> Callable[..., Any]:
    with Configurator() as config:
        config.add_route("user", "/users/{number}")
        config.add_view(lambda request: Response(), route_name="user")
    return Around(config.make_wsgi_app())


@pytest.mark.parametrize(
    ("make", "route"), [(by_flask, "/users/<int:number>"), (by_bottle, "/users/<number:int>"), (by_pyramid, "/users/{number}")]
)
def test_the_route_and_not_the_path(make: Callable[[], Callable[..., Any]], route: str) -> None:
    application = make()
    tell_routes(application)
    assert ask(application, "/users/7") == route
    assert ask(application, "/nowhere") == ""


# In a process of its own: what Django makes its requests of is one for a process.
DJANGO = """
import sys
from django.conf import settings
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="s")
import django
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import include, path, re_path
from test_routes import ask
from hendrix.metrics.routes import tell_routes

seen = []

def view(request, **_):
    seen.append((type(request).__name__, request.resolver_match.url_name))
    return HttpResponse("")

inner = [path("users/<int:number>/", view, name="user")]
urlpatterns = [path("api/", include(inner)), re_path(r"^old/(?P<number>[0-9]+)$", view, name="old")]
application = get_wsgi_application()
tell_routes(application)
tell_routes(application)
assert ask(application, "/api/users/7/") == "/api/users/<int:number>/"
assert ask(lambda *call: application(*call), "/old/7") == "/old/(?P<number>[0-9]+)$"
assert ask(application, "/nowhere") == ""
assert seen == [("WSGIRequest", "user"), ("WSGIRequest", "old")], seen
"""


def test_django_tells_its_route_also_through_middleware_that_hides_it() -> None:
    program = f"import sys; sys.path.insert(0, {str(__file__).rpartition('/')[0]!r})\n{DJANGO}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_any_application_may_say_it_and_what_is_no_text_is_none() -> None:
    assert route_of({"hendrix.route": "/mine"}) == "/mine"
    assert route_of({"hendrix.route": object()}) == ""
    assert route_of({"bottle.route": object()}) == ""
