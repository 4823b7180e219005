"""The Django example as an onion: the commands of its README, with a real tor that has no network."""

from __future__ import annotations

import http.client
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import tors

from harness import Site

ONION = r"[a-z2-7]{56}\.onion"


def test_the_guest_book_is_an_onion(examples: Path) -> None:
    tors.needed()
    readme = (examples / "onion/README.md").read_text(encoding="utf-8")
    words = shlex.split(re.search("^    (SITE_HOSTS=.*)$", readme, re.MULTILINE)[1])
    environment = dict(word.split("=", 1) for word in words if re.match("SITE_[A-Z]+=", word))
    listen = next(word.removeprefix("--listen=") for word in words if word.startswith("--listen="))
    with tempfile.TemporaryDirectory(prefix="tor-") as name:
        home = Path(name)
        tor = tors.Offline(home / "tor", *re.findall("^CookieAuthentication.*", (examples / "onion/torrc").read_text(), re.MULTILINE))
        environment |= {"SITE_SECRET_KEY": "of a test", "SITE_DATABASE": str(home / "site.sqlite3")}
        project = examples / "django_site"
        site = Site(
            "mysite.wsgi.application",
            cwd=project,
            env=environment,
            listen=[listen.replace("9051", str(tor.port)).replace("onion.key", f"{home}/onion.key")],
        )
        subprocess.run([sys.executable, "manage.py", "migrate"], cwd=project, env=site.env, check=True, capture_output=True, timeout=60)
        try:
            tor.start()
            with site:
                kind, onion, port = site.addresses[0].split(":")
                assert (kind, port) == ("onion", "80")
                assert re.fullmatch(ONION, onion)
                target = re.search(rf"{onion}:80 -> 127\.0\.0\.1:(\d+)", site.log)[1]
                assert visit(target, onion) == (200, True)
                assert visit(target, "evil.example") == (400, False)
        finally:
            tor.stop()


def visit(port: str, host: str) -> tuple[int, bool]:
    """The status, and whether the page is the guest book's: as tor would ask."""
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
    try:
        connection.request("GET", "/", headers={"Host": host})
        response = connection.getresponse()
        return response.status, b"book" in response.read().lower()
    finally:
        connection.close()
