"""From Python, without a command line: ``python deploy.py``; ``WEB`` and ``PORT_FILE`` in the environment as in ``site.tac``."""

import os

from bare_wsgi import application
from hendrix import HendrixDeploy

if __name__ == "__main__":
    options = {
        "wsgi": application,
        "listen": [os.environ.get("WEB", "tcp:8000:interface=127.0.0.1")],
        "port_file": os.environ.get("PORT_FILE"),
    }
    HendrixDeploy(options=options).run()
