"""The live page of a shop at night, for tests and pictures: the site, those who visit it, and a Chromium that looks at the page."""

from __future__ import annotations

import contextlib
import http.client
import random
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

from harness import Site

TOKEN = "0123456789abcdef0123456789abcdef"


def night(*arguments: str, token: bool = True) -> Site:
    """The shop, to be started."""
    env = {"HENDRIX_STATUS_TOKEN": TOKEN} if token else {}
    return Site("night:app", "--status=tcp:0", "--threads=4", "--grace=5", *arguments, env=env)


def page_of(site: Site) -> str:
    """Where its live page is."""
    found = re.search(r"the live page is on (https?://\S+)/", site.log)
    assert found, site.log
    return found[1]


class Visitors:
    """Those who visit the shop, each with a connection of his own, until they are told to leave."""

    def __init__(self, site: Site) -> None:
        self._site, self._over = site, threading.Event()
        self._threads: list[threading.Thread] = []
        self._listening: list[http.client.HTTPConnection] = []

    def __enter__(self) -> Visitors:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for connection in self._listening:
            connection.close()
        for thread in self._threads:
            thread.join(30)

    def come(self, path: str, pause: float) -> None:
        """Somebody asks for this again and again; ``{}`` in the path is a number that grows."""
        thread = threading.Thread(target=self._ask, args=(path, pause), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _ask(self, path: str, pause: float) -> None:
        number = 0
        while not self._over.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self._site.port, timeout=60)) as connection:
                    while not self._over.wait(pause * random.uniform(0.5, 1.5)):
                        number += 1
                        connection.request("GET", path.format(number))
                        connection.getresponse().read()

    def listen(self, topic: str, count: int) -> None:
        """So many hear of a topic from now on, and do not answer."""
        for _ in range(count):
            connection = http.client.HTTPConnection("127.0.0.1", self._site.port, timeout=60)
            connection.request("GET", f"/listen/{topic}", headers={"Accept": "text/event-stream"})
            self._listening.append(connection)


@contextlib.contextmanager
def busy(site: Site) -> Iterator[Visitors]:
    """An ordinary evening."""
    with Visitors(site) as visitors:
        for path, pause, many in (
            ("/", 0.03, 4), ("/search", 0.05, 3), ("/order/{}", 0.8, 2), ("/pictures", 2.5, 2), ("/missing", 0.9, 1),
            ("/broken", 7, 1), ("/report/1.2", 4, 1), ("/report/0.4", 2, 1), ("/report/2.6", 30, 1),
        ):  # fmt: skip
            for _ in range(many):
                visitors.come(path, pause)
        visitors.listen("orders.new", 5)
        visitors.listen("chat.support", 3)
        yield visitors


class Looker:
    """Somebody who looks at the live page in a window of his own."""

    def __init__(self, driver: Any, url: str, size: tuple[int, int] = (1300, 900)) -> None:
        self.driver, self.url = driver, url
        driver.switch_to.new_window("window")
        self.window = driver.current_window_handle
        driver.set_window_size(*size)
        driver.get(f"{url}/")

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns, in his window."""
        if self.driver.current_window_handle != self.window:
            self.driver.switch_to.window(self.window)
        return self.driver.execute_script(script, *arguments)

    def command(self, name: str, **values: Any) -> Any:
        """A command of the Chrome DevTools Protocol."""
        self.run("")
        return self.driver.execute_cdp_cmd(name, values)

    def text(self, selector: str) -> str:
        """What stands there, of each element on a line of its own."""
        return str(self.run("return [...document.querySelectorAll(arguments[0])].map((each) => each.innerText).join('\\n')", selector))

    def click(self, selector: str) -> None:
        self.run("")
        self.driver.find_element("css selector", selector).click()

    @property
    def state(self) -> str:
        """live, disconnected and so on."""
        return str(self.run("return document.getElementById('link')?.dataset.state"))

    def unlock(self, token: str = TOKEN) -> None:
        """Give the token, as people do."""
        if not self.run("return document.getElementById('ask-token').open"):
            self.click("#unlock")
        self.run("")
        self.driver.find_element("css selector", "#token").send_keys(f"{token}\n")


def eventually(condition: Any, what: str = "", deadline: float = 60.0) -> None:
    """Wait until it holds."""
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:g} s: {what or condition}")
        time.sleep(0.1)
