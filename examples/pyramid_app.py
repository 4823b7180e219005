"""Pyramid: ``twistd -n hendrix --wsgi=pyramid_app.app``."""

import html
import os

from pyramid.config import Configurator
from pyramid.csrf import get_csrf_token
from pyramid.httpexceptions import HTTPNoContent, HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response
from pyramid.session import SignedCookieSessionFactory

from bell import listen, ring
from receipt import receipt

PAGE = """<!doctype html><title>Pyramid on hendrix</title>
<p>Hello {name}, this is visit {visits}.
<form method=post action=/name>{token}<input name=name required> <button>That is me</button></form>
<form method=post action=/upload enctype=multipart/form-data>{token}<input type=file name=file required> <button>Upload</button></form>
<form method=post action=/ring>{token}<button>Ring the bell</button> for who <a href=/stream>listens</a></form>"""


def home(request: Request) -> Response:
    """A page with forms; the visits are counted in a signed cookie, and each form carries a CSRF token."""
    visits = request.session["visits"] = request.session.get("visits", 0) + 1
    token = f"<input type=hidden name=csrf_token value={get_csrf_token(request)}>"
    return Response(PAGE.format(name=html.escape(request.session.get("name", "stranger")), visits=visits, token=token))


def name(request: Request) -> Response:
    """Remember a name."""
    request.session["name"] = request.POST["name"]
    return HTTPSeeOther("/")


def upload(request: Request) -> Response:
    """Give a receipt for a file."""
    file = request.POST["file"]
    return Response(receipt(file.filename, file.file), content_type="text/plain")


def stream(request: Request) -> Response:
    """One piece now, the next when the bell rings."""
    return Response(app_iter=listen(), content_type="text/plain")


def ring_bell(request: Request) -> Response:
    """Ring the bell."""
    ring()
    return HTTPNoContent()


sessions = SignedCookieSessionFactory(os.environ.get("SECRET_KEY", "for development only"), httponly=True)
with Configurator(session_factory=sessions) as config:
    config.set_default_csrf_options(require_csrf=True)
    for path, view, method in [
        ("/", home, "GET"),
        ("/name", name, "POST"),
        ("/upload", upload, "POST"),
        ("/stream", stream, "GET"),
        ("/ring", ring_bell, "POST"),
    ]:
        config.add_route(view.__name__, path)
        config.add_view(view, route_name=view.__name__, request_method=method)
    app = config.make_wsgi_app()
