"""The route of a request as its framework names it: ``/users/<int:id>`` and not ``/users/7``, so that there are few of them.

It stands in ``environ["hendrix.route"]`` for whoever wants to know, and any application may put it there. Bottle leaves its own in the
environ; Django, Flask and Pyramid are asked here to do so.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from hendrix.wsgi.environ import ROUTE

# What middleware calls the application that it stands around.
INNER: Final = ("application", "app", "wsgi_app")


def route_of(environ: dict[str, Any]) -> str:
    """Of a request that has been answered; "" where nobody tells."""
    route = environ.get(ROUTE)
    if route is None:
        route = getattr(environ.get("bottle.route"), "rule", "")
    return route if type(route) is str else ""


def tell_routes(application: Any) -> None:
    """Have the framework of an application that has been imported leave the route in the environ."""
    if "django.core.handlers.wsgi" in sys.modules:
        _django()
    if "flask" in sys.modules:
        _flask()
    if "pyramid.router" in sys.modules:
        _pyramid(application)


def _django() -> None:
    """A request knows its route when its `resolver_match` is set, and its handler makes it of a class that can be chosen."""
    from django.core.handlers.wsgi import WSGIHandler

    base: Any = WSGIHandler.request_class
    if hasattr(base, "hendrix_tells"):
        return

    class WSGIRequest(base):  # type: ignore[misc]  # under its own name: it is seen in logs and on error pages
        hendrix_tells = True

        @property
        def resolver_match(self) -> Any:
            return self.__dict__.get("resolver_match")

        @resolver_match.setter
        def resolver_match(self, match: Any) -> None:
            self.__dict__["resolver_match"] = match
            route = getattr(match, "route", None)
            if route is not None:
                self.environ[ROUTE] = f"/{route.removeprefix('^')}"

    WSGIHandler.request_class = WSGIRequest


def _flask() -> None:
    """It says when it begins with a request, which is after it has found its route, and forgets that at the end."""
    from flask import request_started

    request_started.connect(_flask_request_started)


def _flask_request_started(sender: object, **_: object) -> None:
    from flask import request

    if request.url_rule is not None:
        request.environ[ROUTE] = request.url_rule.rule


def _pyramid(application: Any) -> None:
    """A router tells its listeners when it has found the context of a request, which is after its route."""
    from pyramid.interfaces import IContextFound
    from pyramid.router import Router

    router = application
    for _ in range(20):
        if router is None or isinstance(router, Router):
            break
        router = next(filter(None, (getattr(router, name, None) for name in INNER)), None)
    if isinstance(router, Router):
        router.registry.registerHandler(_pyramid_context_found, (IContextFound,))


def _pyramid_context_found(event: Any) -> None:
    route = getattr(event.request, "matched_route", None)
    if route is not None:
        event.request.environ[ROUTE] = f"/{route.pattern.lstrip('/')}"
