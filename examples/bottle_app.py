"""Bottle: ``twistd -n hendrix --wsgi=bottle_app.app``."""

import os
from collections.abc import Iterator

from bottle import Bottle, redirect, request, response, template

from bell import listen, ring
from receipt import receipt

app = Bottle()
SECRET = os.environ.get("SECRET_KEY", "for development only")

PAGE = """<!doctype html><title>Bottle on hendrix</title>
<p>Hello {{ name }}, this is visit {{ visits }}.
<form method=post action=/name><input name=name required> <button>That is me</button></form>
<form method=post action=/upload enctype=multipart/form-data><input type=file name=file required> <button>Upload</button></form>
<form method=post action=/ring><button>Ring the bell</button> for who <a href=/stream>listens</a></form>"""


@app.get("/")
def home() -> str:
    """A page with forms; the visits are counted in a signed cookie."""
    visits = int(request.get_cookie("visits", "0", secret=SECRET)) + 1
    response.set_cookie("visits", str(visits), secret=SECRET, httponly=True, samesite="lax")
    return template(PAGE, visits=visits, name=request.get_cookie("name", "stranger", secret=SECRET))


@app.post("/name")
def name() -> None:
    """Remember a name."""
    response.set_cookie("name", request.forms.getunicode("name"), secret=SECRET, httponly=True, samesite="lax")
    redirect("/", 303)


@app.post("/upload")
def upload() -> str:
    """Give a receipt for a file."""
    file = request.files["file"]
    response.content_type = "text/plain; charset=utf-8"
    return receipt(file.raw_filename, file.file)


@app.get("/stream")
def stream() -> Iterator[bytes]:
    """One piece now, the next when the bell rings."""
    response.content_type = "text/plain"
    return listen()


@app.post("/ring")
def ring_bell() -> None:
    """Ring the bell."""
    ring()
    response.status = 204
