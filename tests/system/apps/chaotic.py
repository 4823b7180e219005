"""An application that says which process answered."""

import os
import time

PID = str(os.getpid())


def app(environ, start_response):
    if os.urandom(1) < b"\x20":
        time.sleep(0.01)  # as a query to a database
    start_response("200 OK", [("Content-Length", "6"), ("X-Pid", PID)])
    return [b"chaos\n"]
