"""It answers with what it was told of its client."""

from __future__ import annotations


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    shown = ("REMOTE_ADDR", "SERVER_PORT", "HTTP_HOST", "wsgi.url_scheme")
    return ["".join(f"{name}={environ.get(name)}\n" for name in shown).encode()]
