"""The live page in a real Chromium: what it shows is true, its buttons work, and it stays right through what goes wrong at night."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chromium import AVAILABLE, chromium
from harness import Site
from nightly import TOKEN, Looker, eventually, night, page_of

AXE = Path(__file__).parents[2] / "build/axe/node_modules/axe-core/axe.min.js"
pytestmark = pytest.mark.skipif(not AVAILABLE, reason="no chromium, chromedriver and selenium: the live page is NOT TESTED in a browser")

WATCH_POLICY = """
    window.violations = [];
    addEventListener("securitypolicyviolation", (event) => violations.push(`${event.violatedDirective} ${event.blockedURI}`), true);
"""
RUN_AXE = """
    const done = arguments[arguments.length - 1];
    axe.run(document, {resultTypes: ["violations"]}).then((found) => done(found.violations), (error) => done(String(error)));
"""
Look = Callable[..., Looker]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@pytest.fixture
def look(driver: Any) -> Iterator[Look]:
    """Opens windows, which are closed again."""
    first, windows = driver.current_window_handle, list[Looker]()

    def at(site: Site, **given: Any) -> Looker:
        looker = Looker(driver, page_of(site), **given)
        windows.append(looker)
        return looker

    yield at
    for looker in windows:
        driver.switch_to.window(looker.window)
        driver.close()
    driver.switch_to.window(first)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """One for the tests that leave it as it was."""
    with night("--workers=2", "--sibling=echo:endpoint=tcp\\:0") as site:
        yield site


def live(looker: Looker) -> Looker:
    eventually(lambda: looker.state == "live", "the page is live")
    return looker


def pids(looker: Looker) -> list[str]:
    """Of the workers, as the page shows them."""
    script = "return [...document.querySelectorAll('#processes tbody tr[data-state=serving]')].map((row) => row.children[1].innerText)"
    return list(looker.run(script))


def test_what_it_shows_under_a_known_load(look: Look) -> None:
    with night("--workers=2", "--sibling=echo:endpoint=tcp\\:0") as site:
        looker = live(look(site))
        for _ in range(20):
            site.get("/")
        for path in ("/broken", "/missing", "/report/0.4", "/order/25"):
            site.get(path)
        eventually(lambda: "24 in all" in looker.text("[data-key=rate]"), "24 requests")
        eventually(lambda: looker.text("[data-key=errors] b") == "1", "one error")
        eventually(lambda: "GET /report/0.4" in looker.text("#slow"), "the slow path")
        number, unit = looker.text("#slow b").splitlines()[0].split()
        assert float(number) * {"ms": 0.001, "s": 1.0}[unit] >= 0.4
        eventually(lambda: "ConnectionError: the mail server said" in looker.text("#failures"), "the failed task")
        eventually(lambda: "GET /broken: KeyError: 'price'" in looker.text("#failures"), "the failed request")
        looker.run("document.querySelectorAll('#failures details').forEach((each) => each.open = true)")
        assert "in send_receipt" in looker.text("#failures pre") and "after GET /order/25" in looker.text("#failures pre")
        eventually(lambda: "1 failed" in looker.text("#crosstown-line"), "the count")
        eventually(lambda: "GET /broken raised KeyError" in looker.text("#log"), "the log")
        eventually(lambda: "see inside" in looker.text("#tree [data-state=busy]"), "a mark in the tree")
        looker.click("#tree [data-state=busy] .fold")
        assert "tasks failed lately" in looker.text("#tree [data-state=busy]")
        eventually(lambda: "echo" in looker.text("#siblings") and len(pids(looker)) == 2, "siblings and workers")
        assert looker.run("return [...document.querySelectorAll('.plot path.first')].every((path) => path.getAttribute('d').length > 10)")


def test_what_is_under_way_is_shown_with_its_stack(site: Site, look: Look) -> None:
    looker = live(look(site))
    with site.connect() as waiting:
        waiting.sendall(b"GET /report/8 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        eventually(lambda: "GET /report/8" in looker.text("#under-way"), "the request that waits")
        looker.run("document.querySelector('#under-way details').open = true")
        assert "query: time.sleep(seconds)" in looker.text("#under-way pre")
        eventually(lambda: "busy" not in looker.text("#under-way") and looker.text("[data-key=crew] b") == "1", "a busy thread")


def test_topics_have_their_subscribers(site: Site, look: Look) -> None:
    looker = live(look(site))
    with site.connect() as one, site.connect() as two:
        for connection in (one, two):
            connection.sendall(b"GET /listen/chat.night HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
        eventually(lambda: looker.text("#topics tbody tr").split() == ["chat.night", "2"], "two subscribers")
    eventually(lambda: "chat.night" not in looker.text("#topics"), "nobody")


def test_it_can_only_be_read_without_a_token(look: Look) -> None:
    with night("--workers=1", token=False) as site:
        looker = live(look(site))
        assert "read-only: no --status-token" in looker.text("#read-only")
        script = "return [...document.querySelectorAll('button')].filter((it) => it.checkVisibility()).map((it) => it.innerText)"
        shown = looker.run(script)
        assert not {"Reload", "More", "Fewer", "Drain and stop", "Recycle", "Unlock"} & set(shown)
        assert looker.run("return document.querySelector('#unlock').hidden")
        refused = looker.run("return fetch('/do/reload', {method: 'POST', headers: {Authorization: 'Bearer x'}}).then((it) => it.status)")
        assert refused == 403


def test_the_buttons_do_what_they_say(look: Look) -> None:
    with night("--workers=1") as site:
        looker = live(look(site))
        assert not looker.run("return document.querySelector('[data-do=reload]').checkVisibility()")
        looker.unlock("not-the-token-but-long")
        eventually(lambda: looker.run("return document.querySelector('#token-wrong').checkVisibility()"), "it is refused")
        looker.unlock()
        eventually(lambda: looker.run("return document.querySelector('[data-do=reload]').checkVisibility()"), "the buttons")

        (first,) = pids(looker)
        looker.click("[data-do=reload]")
        eventually(lambda: "1 workers with new code" in looker.text("#said"), "the answer")
        eventually(lambda: len(pids(looker)) == 1 and pids(looker) != [first], "another process")
        (second,) = pids(looker)
        looker.click("#processes tbody tr[data-state=serving] button")
        eventually(lambda: len(pids(looker)) == 1 and pids(looker) != [second], "yet another")
        looker.click("[data-do=more]")
        eventually(lambda: len(pids(looker)) == 2, "two")
        looker.click("[data-do=fewer]")
        eventually(lambda: len(pids(looker)) == 1, "one")
        looker.click("[data-do=fewer]")
        eventually(lambda: "give a whole number from 1" in looker.text("#said.bad"), "why not")

        looker.click("[data-do=stop]")
        looker.click("#ask-stop button[value=cancel]")
        assert site.exit_code is None
        looker.click("[data-do=stop]")
        looker.click("#ask-stop button[value=stop]")
        site.wait()
        eventually(lambda: looker.state == "disconnected", "it says so")
        assert not looker.run("return document.querySelector('[data-do=reload]').checkVisibility()")


def test_a_token_that_is_taken_back(site: Site, look: Look) -> None:
    looker = live(look(site))
    looker.unlock()
    eventually(lambda: looker.run("return document.querySelector('[data-do=reload]').checkVisibility()"), "the buttons")
    assert looker.run("return [document.cookie, localStorage.length, sessionStorage.token]") == ["", 0, TOKEN]
    looker.click("#unlock")
    eventually(lambda: not looker.run("return document.querySelector('[data-do=reload]').checkVisibility()"), "no buttons")
    live(looker)
    assert looker.run("return sessionStorage.token ?? null") is None


def test_where_other_machines_reach_it_nothing_is_seen_without_the_token(look: Look) -> None:
    with Site("night:app", "--status=tcp:0:interface=0.0.0.0", env={"HENDRIX_STATUS_TOKEN": TOKEN}) as site:
        looker = look(site)
        eventually(lambda: looker.state == "locked", "it is locked")
        assert looker.text("#tiles") == looker.text("#log") == ""
        looker.unlock()
        live(looker)
        eventually(lambda: "night:app" in looker.text("#app"), "what there is")


def test_a_worker_that_is_killed(site: Site, look: Look) -> None:
    looker = live(look(site))
    before = pids(looker)
    os.kill(int(before[0]), signal.SIGKILL)
    eventually(lambda: len(pids(looker)) == 2 and before[0] not in pids(looker), "another in its place")
    eventually(lambda: "was killed by SIGKILL" in looker.text("#log"), "the log says so")
    site.get("/")
    assert looker.state == "live"


def test_a_reload_under_load(look: Look) -> None:
    """Each answer is counted, those of the old processes too."""
    with night("--workers=2") as site:
        looker = live(look(site))
        eventually(lambda: len(pids(looker)) == 2, "the processes")
        old = pids(looker)
        for _ in range(30):
            site.get("/")
        os.kill(site.pid, signal.SIGHUP)
        for _ in range(30):
            site.get("/")
        eventually(lambda: len(pids(looker)) == 2 and not set(old) & set(pids(looker)), "new processes")
        eventually(lambda: "60 in all" in looker.text("[data-key=rate]"), "60 requests")
        assert looker.state == "live"


def test_a_broken_connection(site: Site, look: Look) -> None:
    looker = live(look(site))
    looker.command("Network.enable")
    looker.command("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1)
    eventually(lambda: looker.state == "disconnected", "it says so")
    assert "What you see is from" in looker.text("#banner")
    missed = looker.run("return document.querySelector('#log').childElementCount")
    site.get("/broken")
    looker.command("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1)
    live(looker)
    assert looker.run("return document.querySelector('#banner').hidden")
    eventually(lambda: looker.run("return document.querySelector('#log').childElementCount") > missed, "what was missed")


def test_a_process_that_stands_still(look: Look) -> None:
    with night() as site:
        looker = live(look(site))
        os.kill(site.pid, signal.SIGSTOP)
        try:
            eventually(lambda: looker.state == "disconnected", "it says so")
        finally:
            os.kill(site.pid, signal.SIGCONT)
        live(looker)


def test_the_policy_is_kept_and_keeps(site: Site, look: Look) -> None:
    looker = look(site)
    looker.command("Page.addScriptToEvaluateOnNewDocument", source=WATCH_POLICY)
    looker.driver.refresh()
    live(looker)
    looker.unlock()
    looker.click("#theme")
    eventually(lambda: looker.run("return document.querySelector('[data-do=reload]').checkVisibility()"), "the buttons")
    looker.run("document.querySelectorAll('details').forEach((each) => each.open = true)")
    assert looker.run("return violations") == []
    assert [line for line in looker.driver.get_log("browser") if "Content Security" in line["message"]] == []
    for bad in ("document.body.innerHTML = '<img src=x onerror=owned=1>'", "document.createElement('script').text = 'owned = 1'"):
        assert "Trusted" in looker.run(f"try {{ {bad} }} catch (error) {{ return error.message }} return ''"), bad
    assert looker.run("return window.owned ?? null") is None
    looker.click("#theme")
    looker.click("#theme")
    assert looker.run("localStorage.clear(); return document.documentElement.dataset.theme") == ""


@pytest.mark.skipif(not AXE.exists(), reason="no axe-core (.ci/axe installs it with npm): accessibility is NOT TESTED")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_fault_of_accessibility(site: Site, look: Look, scheme: str) -> None:
    looker = live(look(site))
    site.get("/broken")
    site.get("/report/0.2")
    looker.unlock()
    eventually(lambda: looker.run("return document.querySelector('[data-do=reload]').checkVisibility()"), "the buttons")
    eventually(lambda: "GET /broken" in looker.text("#failures"), "a failure")
    looker.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    looker.run("document.querySelectorAll('details').forEach((each) => each.open = true)")
    looker.run(AXE.read_text())
    for width in (1300, 390):
        looker.command("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
        assert looker.run("return document.documentElement.scrollWidth <= innerWidth"), "nothing stands out to the side"
        looker.driver.set_script_timeout(60)
        found = looker.driver.execute_async_script(RUN_AXE)
        assert isinstance(found, list), found
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        assert [(one["id"], one["help"], [node["html"] for node in one["nodes"]]) for one in serious] == []


def test_a_plot_can_be_read_with_the_keys(site: Site, look: Look) -> None:
    from selenium.webdriver.common.keys import Keys

    looker = live(look(site))
    script = "return document.querySelector('#plot-requests path.first').getAttribute('d').split('L').length"
    eventually(lambda: looker.run(script) > 5, "seconds")
    looker.run("document.querySelector('#plot-requests .plot').focus()")
    looker.driver.switch_to.active_element.send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert looker.text("#plot-requests .when").count(":") == 2
    looker.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert looker.text("#plot-requests .when") == ""
