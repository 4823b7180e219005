"""hey_joe.js in a real Chromium: messages, what it sends, coming back, falling back, and the end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sockets import eventually, publish

from harness import Site

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: hey_joe.js is NOT TESTED in a browser")

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver: hey_joe.js is NOT TESTED in a browser")

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def site() -> Iterator[Site]:
    with Site("realtime:app", "--threads=4", "--grace=1") as site:
        yield site


@pytest.fixture
def joe(browser: Any, site: Site) -> Iterator[Callable[..., Page]]:
    def connect(path: str, **options: Any) -> Page:
        return Page(browser, site, path, options)

    yield connect
    browser.get("about:blank")


class Page:
    """A page that is connected, and notes what it gets."""

    def __init__(self, browser: Any, site: Site, path: str, options: dict[str, Any]) -> None:
        self.browser = browser
        browser.get(f"{site.url}/page")
        browser.execute_script(
            """
            window.got = {payloads: [], messages: [], states: [], gaps: []};
            window.joe = new HeyJoe(arguments[0], {minDelay: 20, maxDelay: 200, ...arguments[1]});
            joe.on("chat.lobby", (payload) => got.payloads.push(payload));
            joe.onmessage = (data) => got.messages.push(data instanceof ArrayBuffer ? [...new Uint8Array(data)] : data);
            joe.onstate = (state) => got.states.push(state + " " + joe.transport);
            joe.ongap = (gap) => got.gaps.push(gap);
            """,
            path,
            options,
        )

    def run(self, script: str) -> Any:
        return self.browser.execute_script(script)

    def got(self, what: str) -> Any:
        return self.run(f"return got.{what}")

    def is_open(self) -> bool:
        """And knows where it stands."""
        return bool(self.run("return joe.state === 'open' && joe.id !== null"))


def test_messages_and_what_it_sends(joe: Callable[..., Page], site: Site) -> None:
    page = joe("/topics")
    eventually(page.is_open)
    page.run("joe.subscribe('free.jazz').on('free.*', (payload, message) => got.messages.push([message.topic, payload]))")
    for number in range(10):
        publish(site, "chat.lobby", {"n": number})
    eventually(lambda: page.got("payloads") == [{"n": number} for number in range(10)])
    publish(site, "free.jazz", "tune")
    eventually(lambda: page.got("messages") == [["free.jazz", "tune"]])
    echo = joe("/echo")
    assert echo.run("return joe.send('text') && joe.send({a: [1, null]}) && joe.send(new Uint8Array([0, 255]))")
    eventually(lambda: echo.got("messages") == ["text", {"a": [1, None]}, [0, 255]])
    assert echo.run("return joe.transport") == "websocket"


def test_it_comes_back_and_misses_nothing(joe: Callable[..., Page], site: Site) -> None:
    page = joe("/topics", minDelay=300)
    eventually(page.is_open)
    publish(site, "chat.lobby", 0)
    eventually(lambda: page.got("payloads") == [0])
    for times in range(3):
        site.get("/close?user=noel&code=1012")
        eventually(lambda lost=times + 1: page.got("states").count("waiting websocket") == lost)
        publish(site, "chat.lobby", 3 * times + 1)
        publish(site, "chat.lobby", 3 * times + 2)
        eventually(page.is_open)
        publish(site, "chat.lobby", 3 * times + 3)
        eventually(lambda count=3 * times + 4: len(page.got("payloads")) == count)
    assert page.got("payloads") == list(range(10))
    assert page.got("gaps") == []


def test_what_the_page_was_made_with_comes_first(joe: Callable[..., Page], site: Site) -> None:
    since = json.loads(site.get("/topics").body)["id"]
    publish(site, "chat.lobby", "early")
    page = joe("/topics", since=since)
    eventually(lambda: page.got("payloads") == ["early"])


def test_it_falls_back_to_an_event_stream(joe: Callable[..., Page], site: Site) -> None:
    page = joe("/streams")
    eventually(page.is_open)
    assert page.run("return joe.transport") == "eventstream"
    publish(site, "chat.lobby", "hello")
    eventually(lambda: page.got("payloads") == ["hello"])
    assert page.run("return joe.send('nobody hears this')") is False
    page.run("joe._offline()")
    publish(site, "chat.lobby", "meanwhile")
    eventually(lambda: page.got("payloads") == ["hello", "meanwhile"])


@pytest.mark.parametrize(("path", "code"), [("/topics", 1008), ("/topics", 4000)])
def test_the_end_is_the_end(joe: Callable[..., Page], site: Site, path: str, code: int) -> None:
    page = joe(path)
    eventually(page.is_open)
    site.get(f"/close?user=noel&code={code}")
    eventually(lambda: page.got("states")[-1] == "closed websocket")
    assert page.run("return joe.code") == code
    assert page.run("return joe.send('too late')") is False


def test_it_can_leave(joe: Callable[..., Page], site: Site) -> None:
    page = joe("/act")
    eventually(lambda: page.got("messages") == ["welcome"])
    page.run("joe.close(4001, 'bye')")
    assert page.got("states")[-1] == "closed websocket"
    eventually(lambda: ["close", "/act", 4001] in json.loads(site.get("/seen").body))


def test_a_server_that_starts_anew_is_a_gap(joe: Callable[..., Page], site: Site, tmp_path: Path) -> None:
    page = joe("/topics")
    eventually(page.is_open)
    listen = f"tcp:{site.port}:interface=127.0.0.1"
    site.stop()
    with Site("realtime:app", "--grace=1", listen=(listen,)) as again:
        eventually(lambda: page.got("gaps") != [])
        eventually(page.is_open)
        publish(again, "chat.lobby", "new")
        eventually(lambda: page.got("payloads") == ["new"])
        assert {gap["reason"] for gap in page.got("gaps")} == {"history"}


def test_the_script_and_its_types_are_served(site: Site) -> None:
    script = site.get("/.hendrix/hey_joe.js")
    assert (script.status, script.headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")
    tag = script.headers["ETag"]
    assert site.get("/.hendrix/hey_joe.js", {"If-None-Match": tag}).status == 304
    named = site.get(f"/.hendrix/hey_joe.{tag.strip(chr(34))}.js")
    assert named.body == script.body
    assert "immutable" in named.headers["Cache-Control"]
    assert b"declare class HeyJoe" in site.get("/.hendrix/hey_joe.d.ts").body
    assert site.get("/.hendrix/hey_joe.0123456789ab.js").text == "ordinary\n"
