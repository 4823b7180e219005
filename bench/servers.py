"""What is measured: the servers with their command lines, and the apps with their right answers."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import BIN, HERE

APPS_FOLDER: Path = HERE / "apps"


@dataclass(frozen=True)
class Server:
    """A server and how to start it. The words may use {bin}, {prefix}, {app} (a module), {port} and {threads}."""

    name: str
    package: str  # the distribution to ask for a version
    words: str
    closing_words: str = ""  # instead, for one connection per request, where `words` do not heed `Connection: close`

    def command(self, app: str, port: int, threads: int, closing: bool = False) -> list[str]:
        """Return the argument list that serves `app` on 127.0.0.1:`port`; run it in APPS_FOLDER."""
        values = {"bin": BIN, "prefix": sys.prefix, "app": app, "port": port, "threads": threads}
        words = self.closing_words if closing and self.closing_words else self.words
        return [word.format(**values) for word in shlex.split(words)]


@dataclass(frozen=True)
class App:
    """An app of bench/apps: its module, and the body it answers (bytes, or what JSON decodes to)."""

    name: str
    module: str
    answer: Any

    def is_right(self, body: bytes) -> bool:
        """Tell whether `body` is this app's answer."""
        if isinstance(self.answer, bytes):
            return body == self.answer
        try:
            return bool(json.loads(body) == self.answer)
        except ValueError:
            return False


TWISTD = "{bin}/twistd -n --pidfile="
UWSGI = "{bin}/uwsgi --master --processes 1 --threads {threads} --disable-logging --die-on-term --need-app --virtualenv {prefix}"

HENDRIX = Server(
    "hendrix", "hendrix", f"{TWISTD} hendrix --wsgi={{app}}.application --listen=tcp:{{port}}:interface=127.0.0.1 --threads={{threads}}"
)
PEERS = (
    Server("gunicorn gthread", "gunicorn", "{bin}/gunicorn -b 127.0.0.1:{port} -w 1 -k gthread --threads {threads} {app}:application"),
    Server("waitress", "waitress", "{bin}/waitress-serve --listen 127.0.0.1:{port} --threads {threads} {app}:application"),
    Server(
        "granian",
        "granian",
        "{bin}/granian --interface wsgi --host 127.0.0.1 --port {port} --workers 1 --blocking-threads {threads} --no-ws"
        " --log-level error {app}:application",
    ),
    # --http11-socket keeps a connection whatever the request says; --http-socket closes it, without saying so.
    Server(
        "uWSGI",
        "uWSGI",
        f"{UWSGI} --module {{app}}:application --http11-socket 127.0.0.1:{{port}}",
        f"{UWSGI} --module {{app}}:application --http-socket 127.0.0.1:{{port}} --add-header 'Connection: close'",
    ),
    # Its pool of 5 to 20 threads has no option, and neither has its access log: an observer that drops all comes nearest to none. Never
    # `-l /dev/null`: twistd rotates that file at 1 MB, and renames /dev/null when it runs as root.
    Server(
        "twistd web",
        "twisted",
        f"{TWISTD} --logger=quiet.observer web --listen tcp:{{port}}:interface=127.0.0.1 --wsgi {{app}}.application",
    ),
)
SERVERS = {server.name.split()[0]: server for server in (HENDRIX, *PEERS)}  # by the word that selects one on the command line

WAIT = 0.005  # seconds that the app "waiting" waits
JSON_ANSWER = {"hello": "world", "n": list(range(20))}
APPS = {
    app.name: app
    for app in (
        App("bare", "bare", b"Hello, world!\n"),
        App("flask", "flask_app", JSON_ANSWER),
        App("django", "django_app", JSON_ANSWER),
        App("waiting", "waiting", b"Thank you for waiting.\n"),
    )
}
