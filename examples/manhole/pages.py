"""The site: one page, and what somebody in the manhole may look at and change while it runs."""

greeting = "Hello"
visits = 0


def application(environ, start_response):
    global visits
    visits += 1
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{greeting}, visitor {visits}\n".encode()]
