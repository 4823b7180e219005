"""The chat in a real Chromium: who visits it has a window, and a host name of his own, so that one browser keeps the sessions of all."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import Site

DEADLINE = 60.0
NO_WEBSOCKET = """
    window.WebSocket = class {
        constructor() { setTimeout(() => this.onclose({code: 1006, reason: ""})); }
        close() {}
    };
"""


def prepared(project: Path, database: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run ``manage.py`` with a database of its own; ``demo`` if nothing else is said."""
    return subprocess.run(
        [sys.executable, "manage.py", *(command or ["demo"])],
        cwd=project,
        env={**os.environ, "CHAT_DATABASE": str(database)},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )


def serve(project: Path, database: Path, *arguments: str) -> Site:
    """The chat, to be started."""
    return Site("mysite.wsgi.application", "--threads=4", "--grace=5", *arguments, cwd=project, env={"CHAT_DATABASE": str(database)})


def eventually(condition: Callable[[], object], what: str = "") -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {DEADLINE:g} s: {what or condition}")
        time.sleep(0.05)


class Visitor:
    """Somebody with a window of his own.

    :param websocket: whether his browser can have WebSockets.
    """

    def __init__(self, driver: Any, site: Site, name: str, *, websocket: bool = True, size: tuple[int, int] = (1100, 720)) -> None:
        self.driver, self.name = driver, name
        self.url = f"http://{name}.localhost:{site.port}"
        driver.switch_to.new_window("window")
        self.window = driver.current_window_handle
        driver.set_window_size(*size)
        if not websocket:
            driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": NO_WEBSOCKET})

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns, in his window."""
        if self.driver.current_window_handle != self.window:
            self.driver.switch_to.window(self.window)
        return self.driver.execute_script(script, *arguments)

    def command(self, name: str, **values: Any) -> Any:
        """A command of the Chrome DevTools Protocol, for his window."""
        self.run("")
        return self.driver.execute_cdp_cmd(name, values)

    def visit(self, path: str) -> None:
        self.run("")
        self.driver.get(self.url + path)

    def find(self, selector: str) -> Any:
        self.run("")
        return self.driver.find_element("css selector", selector)

    def log_in(self, path: str = "/") -> Visitor:
        """Come in, by the form unless he is known, as far as the page that was wanted; and wait for the connection."""
        self.visit(path)
        if self.driver.find_elements("id", "id_username"):
            self.find("#id_username").send_keys(self.name)
            self.find("#id_password").send_keys("demo\n")
        self.connected()
        return self

    def connected(self) -> None:
        eventually(lambda: self.state == "open", f"{self.name} is connected")

    @property
    def state(self) -> str:
        return str(self.run("return document.getElementById('state')?.dataset.state"))

    def say(self, text: str) -> None:
        """Type, and press Enter; shift with it for line breaks."""
        self.find("#text").send_keys(text.replace("\n", "\ue008\n\ue008") + "\n")

    @property
    def texts(self) -> list[str]:
        """What stands in the room, of messages that have arrived."""
        script = "return [...document.querySelectorAll('.message:not(.pending) .text')].map((text) => text.textContent)"
        return list(self.run(script))

    @property
    def pending(self) -> list[str]:
        return list(self.run("return [...document.querySelectorAll('.pending .text')].map((text) => text.textContent)"))

    def sees(self, *texts: str) -> None:
        """Wait until the last messages are these."""
        eventually(lambda: self.texts[-len(texts) :] == list(texts), f"{self.name} sees {texts}")

    def people(self) -> list[str]:
        return list(self.run("return [...document.querySelectorAll('#people li')].map((item) => item.dataset.who)"))

    def offline(self, off: bool = True) -> None:
        """Take the network away, or give it back."""
        self.command("Network.enable")
        self.command("Network.emulateNetworkConditions", offline=off, latency=0, downloadThroughput=-1, uploadThroughput=-1)
