"""examples/irc_bridge on a real IRC network, with two pages in a real Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chatting import eventually
from ircnetwork import Person, network_of_one

from chromium import CHROMIUM, DRIVER, chromium
from harness import Site

pytest.importorskip("selenium", reason="selenium is not installed: the bridge is NOT TESTED in a browser")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver: the bridge is NOT TESTED in a browser")


@pytest.fixture
def network() -> Iterator[Any]:
    with network_of_one() as network:
        yield network


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    with chromium(tmp_path / "profile") as driver:
        yield driver


def lines(driver: Any) -> list[list[str]]:
    """Who said what, as the page shows it, with where."""
    script = """return [...document.querySelectorAll("#log li")].map((item) => [
        item.classList.contains("web") ? "web" : "irc", item.querySelector("b").textContent, item.querySelector(".text").textContent
    ])"""
    found: list[list[str]] = driver.execute_script(script)
    return found


def say(driver: Any, nick: str, text: str) -> None:
    driver.execute_script(
        "document.getElementById('nick').value = arguments[0]; document.getElementById('text').value = arguments[1];"
        "document.getElementById('say').requestSubmit()",
        nick,
        text,
    )


def test_what_is_said_on_either_side_is_heard_on_both(network: Any, browser: Any, examples: Path) -> None:
    ann = Person(network.port, "ann")
    keys = f"name=net:host=localhost:port={network.port}:ca={network.authority}:nick=bridge:channels=#hx:pace=0"
    arguments = ("--workers=2", "--static=/static=static", f"--sibling=irc:{keys}", "--control=off")
    with Site("bridge.application", *arguments, cwd=examples / "irc_bridge") as site:
        if "bridge" not in names(ann):
            ann.wait_for("JOIN")
        browser.get(site.url)
        state = "return document.getElementById('state').textContent"
        eventually(lambda: browser.execute_script(state) == "connected")
        ann.send("PRIVMSG #hx :hello <b>web</b>")
        eventually(lambda: lines(browser) == [["irc", "ann", "hello <b>web</b>"]])
        say(browser, "jimi", "hello IRC")
        assert ann.wait_for("PRIVMSG").rstrip().endswith("PRIVMSG #hx :<jimi> hello IRC")
        both = [["irc", "ann", "hello <b>web</b>"], ["web", "jimi", "hello IRC"]]
        eventually(lambda: lines(browser) == both)
        browser.switch_to.new_window("tab")
        browser.get(site.url)
        eventually(lambda: lines(browser) == both and browser.execute_script(state) == "connected")
        say(browser, "no spaces here", "not sent")
        ann.send("PRIVMSG #hx :\x01ACTION waves\x01")
        both.append(["irc", "ann", "waves"])
        for window in browser.window_handles:
            browser.switch_to.window(window)
            eventually(lambda: lines(browser) == both)
        troubles = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
        assert not troubles
        assert site.get("/none").status == 404
    ann.close()


def names(person: Any) -> str:
    person.send("NAMES #hx")
    found: str = person.wait_for(" 353 ")
    return found
