"""Answers with the environ of the request, a line for each key."""


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return ["".join(f"{key}={environ[key]}\n" for key in sorted(environ)).encode()]
