"""A WSGI callable without a framework: ``twistd -n hendrix --wsgi=bare_wsgi.application``."""

import html
from collections.abc import Callable, Iterable
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, quote, unquote

from bell import listen, ring
from receipt import receipt

PAGE = """<!doctype html><title>WSGI on hendrix</title>
<p>Hello {name}, this is visit {visits}.
<form method=post action=/name><input name=name required> <button>That is me</button></form>
<form method=post action=/ring><button>Ring the bell</button> for who <a href=/stream>listens</a></form>
<pre>curl -T some.file http://localhost:8000/upload/</pre>"""


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Answer with a page, a cookie, the receipt for an upload, or a stream that waits for the bell."""
    cookie, body, path = SimpleCookie(environ.get("HTTP_COOKIE", "")), environ["wsgi.input"], environ["PATH_INFO"]
    headers, plain = [("Content-Type", "text/html; charset=utf-8")], [("Content-Type", "text/plain; charset=utf-8")]
    if path == "/":
        name = unquote(cookie["name"].value) if "name" in cookie else "stranger"
        visits = int(cookie["visits"].value) + 1 if "visits" in cookie else 1
        start_response("200 OK", [*headers, ("Set-Cookie", f"visits={visits}; HttpOnly; Path=/; SameSite=Lax")])
        return [PAGE.format(name=html.escape(name), visits=visits).encode()]
    if path == "/stream":
        start_response("200 OK", plain)
        return listen()
    if environ["REQUEST_METHOD"] == "PUT" and path.startswith("/upload/"):
        start_response("200 OK", plain)
        return [receipt(path.rpartition("/")[2].encode("latin-1").decode(), body).encode()]
    if environ["REQUEST_METHOD"] == "POST" and path == "/name":
        name = parse_qs(body.read().decode()).get("name", ["stranger"])[0]
        start_response("303 See Other", [("Location", "/"), ("Set-Cookie", f"name={quote(name)}; HttpOnly; Path=/; SameSite=Lax")])
        return []
    if environ["REQUEST_METHOD"] == "POST" and path == "/ring":
        ring()
        start_response("204 No Content", [])
        return []
    start_response("404 Not Found", plain)
    return [b"There is no such page.\n"]
