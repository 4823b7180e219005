"""Flask: ``twistd -n hendrix --wsgi=flask_app.app``."""

import os

from flask import Flask, Response, redirect, render_template_string, request, session
from werkzeug.wrappers import Response as Redirect

from bell import listen, ring
from receipt import receipt

app = Flask(__name__)
app.secret_key = os.environ.get("SECRET_KEY", "for development only")

PAGE = """<!doctype html><title>Flask on hendrix</title>
<p>Hello {{ session.name or "stranger" }}, this is visit {{ session.visits }}.
<form method=post action=/name><input name=name required> <button>That is me</button></form>
<form method=post action=/upload enctype=multipart/form-data><input type=file name=file required> <button>Upload</button></form>
<form method=post action=/ring><button>Ring the bell</button> for who <a href=/stream>listens</a></form>"""


@app.get("/")
def home() -> str:
    """A page with forms; the visits are counted in a signed cookie."""
    session["visits"] = session.get("visits", 0) + 1
    return render_template_string(PAGE)


@app.post("/name")
def name() -> Redirect:
    """Remember a name."""
    session["name"] = request.form["name"]
    return redirect("/", 303)


@app.post("/upload")
def upload() -> Response:
    """Give a receipt for a file."""
    file = request.files["file"]
    return Response(receipt(file.filename or "", file), mimetype="text/plain")


@app.get("/stream")
def stream() -> Response:
    """One piece now, the next when the bell rings."""
    return Response(listen(), mimetype="text/plain")


@app.post("/ring")
def ring_bell() -> tuple[str, int]:
    """Ring the bell."""
    ring()
    return "", 204
