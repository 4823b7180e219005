"""One twistd: the Django example on two workers, four siblings that talk to a page in Chromium, and a fifth that crashes every second."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chatting import eventually
from ircnetwork import Person, network_of_one

from chromium import CHROMIUM, DRIVER, chromium
from harness import APPS, Site
from hendrix.client import Client
from siblings_site import lines_of

pytest.importorskip("selenium", reason="selenium is not installed: the siblings are NOT TESTED with a browser")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver: siblings are NOT TESTED with a browser")

PATIENCE = 60.0
LIVES = 4
"""So often the fifth must have come back before the test is content."""


@pytest.fixture
def network() -> Iterator[Any]:
    with network_of_one() as network:
        yield network


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    with chromium(tmp_path / "profile") as driver:
        yield driver


@pytest.fixture
def home() -> Iterator[Path]:
    """Short, for unix sockets."""
    with tempfile.TemporaryDirectory(prefix="hx-") as name:
        yield Path(name)


@pytest.fixture
def site(network: Any, home: Path, examples: Path) -> Iterator[Site]:
    project, here = examples / "django_site", Path(__file__).parent / "live_page"
    env = {"SITE_DATABASE": str(home / "site.sqlite3")}
    subprocess.run([sys.executable, "manage.py", "demo"], cwd=project, env={**os.environ, **env}, check=True, stdout=subprocess.DEVNULL)
    siblings = [
        f"irc:host=localhost:port={network.port}:ca={network.authority}:nick=jimi:channels=#hx:pace=0",
        "udp:port=0:interface=127.0.0.1:topic=udp.in",
        "cron:schedule=* * * * * *:topic=tick",
        f"echo:endpoint=unix\\:{home}/echo",
        "bells.crashing:every=1",
    ]
    paths = [f"--pythonpath={path}" for path in (here, APPS)]
    arguments = ["--settings=live_page_settings", "--workers=2", f"--control={home}/control", *paths]
    with Site("mysite.wsgi.application", *arguments, *(f"--sibling={each}" for each in siblings), cwd=project, env=env) as site:
        yield site


class Visitors:
    """Somebody asks for the front page again and again, and notes what is not as it should be."""

    def __init__(self, site: Site) -> None:
        self.site, self.count, self.wrong, self._over = site, 0, list[str](), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                answer = self.site.get("/", timeout=PATIENCE)
                if answer.status != 200:
                    self.wrong.append(f"{answer.status}")
            except OSError as error:
                self.wrong.append(repr(error))
            self.count += 1
            self._over.wait(0.02)

    def __enter__(self) -> Visitors:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join(PATIENCE)


class Live:
    """The page."""

    def __init__(self, driver: Any, site: Site) -> None:
        self.driver = driver
        driver.get(f"{site.url}/siblings/")
        eventually(lambda: driver.execute_script("return joe.state") == "open", "the page is connected")

    def got(self, topic: str) -> list[Any]:
        found: list[Any] = self.driver.execute_script("return got.filter((one) => one[0] === arguments[0]).map((one) => one[1])", topic)
        return found

    def send(self, what: dict[str, Any]) -> None:
        assert self.driver.execute_script("return joe.send(arguments[0])", what)


def test_each_sibling_talks_to_the_page_and_the_site_does_not_notice_the_one_that_crashes(
    site: Site, network: Any, browser: Any, home: Path
) -> None:
    workers = set(site.children)
    assert len(workers) == 2
    with Visitors(site) as visitors, Client(f"{home}/control", PATIENCE) as control:
        page = Live(browser, site)
        eventually(lambda: page.got("tick"), "cron speaks to the page")

        peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(PATIENCE)
        found = re.search(r":(\d+) ", lines_of(lines_of(control.ask("tree"))["siblings"])["udp"]["line"])
        assert found
        peer.sendto(b"a datagram", ("127.0.0.1", int(found[1])))
        eventually(lambda: [each["text"] for each in page.got("udp.in")] == ["a datagram"], "udp speaks to the page")
        page.send({"udp": peer.getsockname()[1]})
        assert peer.recvfrom(100)[0] == b"from the page"
        peer.close()

        ann = Person(network.port, "ann")
        ann.send("NAMES #hx")
        if "jimi" not in ann.wait_for(" 353 "):
            ann.wait_for("JOIN")
        ann.send("PRIVMSG #hx :hello")
        eventually(lambda: [each["text"] for each in page.got("irc.irc.hx")] == ["hello"], "irc speaks to the page")
        page.send({"irc": "hello from the page"})
        assert ann.wait_for("PRIVMSG").rstrip().endswith("PRIVMSG #hx :hello from the page")
        ann.close()

        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(f"{home}/echo")
            connection.sendall(b"a line\r\n")
            assert connection.recv(100) == b"a line\r\n"
        eventually(lambda: page.got("echo") == ["a line"], "echo speaks to the page")
        eventually(lambda: bool(page.got("heard")), "and so does the code of the site that hears it")
        [heard] = page.got("heard")
        assert heard["line"] == "a line"
        assert heard["pid"] in workers

        eventually(lambda: len(page.got("tick")) >= 2, "cron speaks to the page again")
        eventually(lambda: len(page.got("crashing")) >= LIVES, "the fifth comes back")
        assert set(page.got("crashing")) == {site.pid}, "once in the tree, in the parent"
        tree = lines_of(control.ask("tree"))
        names = [child["name"] for child in tree["siblings"]["children"]]
        assert names == ["irc", "udp", "cron", "echo", "crashing"]
        assert browser.execute_script("return states") == ["open"], "the page was connected all the time"
    assert visitors.count > 10
    assert not visitors.wrong
    assert set(site.children) == workers
    assert "crashing died and is started again" in site.log
    assert "Unhandled" not in site.log
