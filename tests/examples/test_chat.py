"""The chat: two who talk in a real Chromium, while the network goes away and the server's code is replaced; and what needs no browser."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from browser import Browser, Page
from chatting import Visitor, eventually, prepared, serve

from chromium import AVAILABLE, chromium
from harness import Site

in_chromium = pytest.mark.skipif(not AVAILABLE, reason="no chromium, chromedriver and selenium: the chat is NOT TESTED in a browser")

STUDIO = "/rooms/studio/"
NOTE_TYPING = """
    window.typed = [];
    const line = document.getElementById("typing");
    new MutationObserver(() => typed.push(line.textContent)).observe(line, {childList: true});
"""
Come = Callable[..., Visitor]


@pytest.fixture(scope="session")
def project(examples: Path) -> Path:
    """The directory with manage.py."""
    return examples / "chat"


@pytest.fixture(scope="module")
def demo(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a database as ``manage.py demo`` leaves it, and its key; to be copied."""
    directory = tmp_path_factory.mktemp("chat")
    done = prepared(project, directory / "chat.sqlite3")
    assert done.returncode == 0, done.stderr
    return directory


@pytest.fixture
def database(demo: Path, tmp_path: Path) -> Path:
    """Such a database for one test."""
    return copy(demo, tmp_path)


@pytest.fixture(scope="module")
def common(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all tests that do not want their own."""
    return copy(demo, tmp_path_factory.mktemp("common"))


@pytest.fixture(scope="module")
def site(project: Path, common: Path) -> Iterator[Site]:
    """The chat on that."""
    with serve(project, common) as site:
        yield site


def copy(demo: Path, directory: Path) -> Path:
    for file in demo.iterdir():
        shutil.copy(file, directory)
    return directory / "chat.sqlite3"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@pytest.fixture
def come(driver: Any) -> Iterator[Come]:
    """Have somebody visit a site. The windows are closed when the test has ended."""
    first = driver.current_window_handle

    def visitor(site: Site, name: str, **more: Any) -> Visitor:
        return Visitor(driver, site, name, **more)

    yield visitor
    for window in driver.window_handles:
        if window != first:
            driver.switch_to.window(window)
            driver.close()
    driver.switch_to.window(first)


def log_in(site: Site, name: str = "jimi") -> Browser:
    browser = Browser(site.url)
    browser.submit(browser.get("/login/"), username=name, password="demo")
    return browser


@in_chromium
class TestTalking:
    def test_two_talk(self, site: Site, come: Come, driver: Any) -> None:
        jimi, noel = come(site, "jimi").log_in(STUDIO), come(site, "noel").log_in(STUDIO)
        eventually(lambda: jimi.people() == noel.people() == ["jimi", "noel"])
        driver.get_log("browser")
        jimi.run(NOTE_TYPING)
        noel.find("#text").send_keys("hm")
        eventually(lambda: "noel is typing" in jimi.run("return typed"))
        noel.say(", one\nand two")
        jimi.sees("hm, one\nand two")
        markup = "<img src=x onerror=\"document.title='gotcha'\"></script><b>&amp;</b> https://example.com/?a=<i>."
        jimi.say(markup)
        for each in (jimi, noel):
            each.sees("hm, one\nand two", markup)
            assert each.run("return [...document.querySelectorAll('#log img, #log i, #log script, .text b')].length") == 0
            last = "return [...document.querySelectorAll('.message:last-child a')].map((link) => [link.href, link.protocol])"
            assert each.run(last) == [["https://example.com/?a=", "https:"]]
        noel.visit(STUDIO)
        noel.connected()
        noel.sees("hm, one\nand two", markup)
        assert noel.run("return document.title") == "Studio · Chat"
        errors = [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
        assert errors == [], "what the policy forbids is on the console, too"

    def test_what_is_unread_is_marked(self, site: Site, come: Come) -> None:
        jimi, noel = come(site, "jimi").log_in(STUDIO), come(site, "noel").log_in("/rooms/gear/")
        badge = "return (document.querySelector('[data-room=gear] .badge:not([hidden]) .count') || {}).textContent"
        assert jimi.run(badge) == "1"
        noel.say("Not in my coat.")
        noel.say("Really not.")
        eventually(lambda: jimi.run(badge) == "3")
        jimi.visit("/rooms/gear/")
        jimi.connected()
        after_mark = "return document.querySelector('.unread + .message .text').textContent"
        assert jimi.run(after_mark) == "Check your coat."
        jimi.sees("Not in my coat.", "Really not.")
        eventually(lambda: "unread" not in log_in(site).get("/rooms/").text.partition('data-room="gear"')[2].partition(" hidden")[0])
        jimi.visit(STUDIO)
        jimi.connected()
        assert jimi.run(badge) is None

    def test_without_a_websocket_it_is_a_stream_of_events(self, site: Site, come: Come) -> None:
        janis, noel = come(site, "janis", websocket=False).log_in(STUDIO), come(site, "noel").log_in(STUDIO)
        eventually(lambda: janis.people() == noel.people() == ["janis", "noel"])
        assert janis.run("return document.getElementById('state').title") == "by a stream of events"
        noel.say("Do you hear me?")
        janis.sees("Do you hear me?")
        janis.say("Loud and clear.")
        for each in (janis, noel):
            each.sees("Do you hear me?", "Loud and clear.")
        eventually(lambda: janis.pending == [])

    def test_who_leaves_is_gone_and_who_logs_out_hears_of_it(self, site: Site, come: Come) -> None:
        noel, jimi, again = come(site, "noel").log_in(STUDIO), come(site, "jimi").log_in(STUDIO), come(site, "jimi")
        again.visit(STUDIO)
        again.connected()
        eventually(lambda: noel.people() == ["jimi", "noel"])
        jimi.find(".me button").click()
        eventually(lambda: again.state == "closed")
        assert again.find("#banner").text == "You are logged out. Log in again"
        eventually(lambda: noel.people() == ["noel"])
        eventually(lambda: "jimi has left" in noel.find("#log").text)
        again.find("#banner a").click()
        eventually(lambda: again.run("return location.pathname + location.search") == "/login/?next=%2Frooms%2Fstudio%2F")

    def test_by_keyboard_and_on_a_phone(self, site: Site, come: Come) -> None:
        mitch = come(site, "mitch").log_in(STUDIO)
        mitch.run("document.getElementById('scroll').focus()")
        mitch.find("#scroll").send_keys("/")
        assert mitch.run("return document.activeElement.id") == "text"
        mitch.command("Emulation.setDeviceMetricsOverride", width=320, height=560, deviceScaleFactor=2, mobile=True)
        assert mitch.run("return document.documentElement.scrollWidth") == 320
        assert mitch.run("return document.getElementById('composer').getBoundingClientRect().bottom <= innerHeight")
        mitch.find("#text").send_keys("\ue00a\ue015")  # Alt and the arrow down
        eventually(lambda: mitch.run("return location.pathname") == "/rooms/on-tour/")


@in_chromium
class TestTrouble:
    def test_nothing_is_lost_and_nothing_doubled(self, project: Path, database: Path, tmp_path: Path, come: Come) -> None:
        """The network of one goes away; the server gets new code, and then its worker is killed; both go on talking."""
        code = tmp_path / "code"
        shutil.copytree(project, code)
        with serve(code, database, "--workers=1") as site:
            jimi, noel = come(site, "jimi").log_in(STUDIO), come(site, "noel").log_in(STUDIO)
            before = noel.texts
            noel.say("0")
            jimi.sees("0")
            jimi.offline()
            eventually(lambda: jimi.state == "waiting")
            assert "is sent when it is back" in jimi.find("#banner").text
            jimi.say("from the tunnel 1")
            jimi.say("from the tunnel 2")
            assert jimi.pending == ["from the tunnel 1", "from the tunnel 2"]
            noel.say("1")
            self.replace_the_code(code, site, noel)
            noel.sees("0", "1", "2", "3", "4")
            jimi.offline(False)
            expected = [*before, "0", "1", "2", "3", "4", "from the tunnel 1", "from the tunnel 2"]
            for each in (jimi, noel):
                eventually(lambda each=each: each.texts == expected, f"{each.name} has all of it")
            eventually(lambda: len(site.children) == 1, "the old worker has ended")
            os.kill(site.children[0], signal.SIGKILL)
            for each in (noel, jimi):
                each.say(f"{each.name} goes on")
                expected.append(f"{each.name} goes on")
                eventually(lambda: noel.texts == jimi.texts == expected, "both have all of it")
            assert jimi.pending == noel.pending == []
            eventually(lambda: jimi.people() == noel.people() == ["jimi", "noel"])
            kept = log_in(site).get(f"{STUDIO}messages?after=0").text
            assert [message["text"] for message in json.loads(kept)["messages"]] == expected
            noel.visit(STUDIO)
            assert noel.texts == expected

    def replace_the_code(self, code: Path, site: Site, noel: Visitor) -> None:
        """Reload, while he talks."""
        policy = code / "mysite" / "policy.py"
        policy.write_text(policy.read_text().replace("return response\n", 'response.headers["X-Code"] = "new"\n        return response\n'))
        assert "X-Code" not in site.get("/login/").headers
        os.kill(site.pid, signal.SIGHUP)
        for text in ("2", "3"):
            noel.say(text)
        eventually(lambda: site.get("/login/").headers["X-Code"] == "new", "the new code serves")
        noel.say("4")

    def test_what_the_hub_has_forgotten_is_fetched(self, project: Path, database: Path, come: Come) -> None:
        """The whole server starts anew, and so do its ids; meanwhile somebody is away."""
        with serve(project, database) as site:
            noel = come(site, "noel").log_in(STUDIO)
            noel.offline()
            eventually(lambda: noel.state == "waiting")
            noel.say("I was away.")
            say(log_in(site), "Just before.")
            site.stop()
        again = serve(project, database)
        again.command[again.command.index("--listen=tcp:0:interface=127.0.0.1")] = f"--listen=tcp:{site.port}:interface=127.0.0.1"
        with again:
            say(log_in(again), "While you were away.")
            noel.offline(False)
            noel.sees("Just before.", "While you were away.", "I was away.")
            assert len(set(noel.texts)) == len(noel.texts)


def say(browser: Browser, text: str, key: object = "") -> Page:
    """As a browser without scripts does."""
    page = browser.get(STUDIO)
    form = next(line for line in page.text.splitlines() if 'name="csrfmiddlewaretoken"' in line)
    token = form.partition('value="')[2].partition('"')[0]
    return browser.post(f"{STUDIO}say", csrfmiddlewaretoken=token, key=str(key or uuid4()), text=text)


class TestWithoutABrowser:
    def test_the_form_will_do(self, site: Site) -> None:
        page = say(log_in(site), "No <script> here.")
        assert page.url.endswith(STUDIO)
        assert "No &lt;script&gt; here." in page.text

    def test_what_is_said_twice_is_said_once(self, site: Site) -> None:
        key = uuid4()
        for _ in range(2):
            page = say(log_in(site), "Once and for all.", key)
        assert page.text.count("Once and for all.") == 1
        assert say(log_in(site, "noel"), "With the key of another.", key).text.count("With the key of another.") == 1

    def test_the_policy_lets_nothing_in_from_elsewhere(self, site: Site) -> None:
        page = log_in(site).get(STUDIO)
        assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert " style=" not in page.text
        assert " on" not in "".join(tag.partition(">")[0] for tag in page.text.split("<")).replace(" on tour", "")
        assert all(line.startswith("<script src=") for line in page.text.splitlines() if "<script" in line)

    def test_strangers_are_asked_who_they_are(self, site: Site) -> None:
        for path in ("/", STUDIO, f"{STUDIO}messages", "/rooms/"):
            answer = site.get(path)
            assert (answer.status, answer.headers["Location"]) == (302, f"/login/?next={path}")
        stream = site.get(f"{STUDIO}live", {"Accept": "text/event-stream"})
        assert b"event: end\ndata: 4401\n" in stream.body

    def test_older_messages_come_in_pages(self, site: Site, project: Path, common: Path) -> None:
        many = (
            "from chat.models import *; from uuid import uuid4; from django.contrib.auth.models import User; jimi = User.objects.first();"
            "room = Room.objects.create(slug='tapes', name='Tapes');"
            "Message.objects.bulk_create(Message(room=room, author=jimi, key=uuid4(), text=f'take {n}') for n in range(120))"
        )
        assert prepared(project, common, "shell", "-c", many).returncode == 0
        browser, texts, before = log_in(site), [], 10**9
        page = browser.get("/rooms/tapes/").text
        assert (page.count("take "), 'id="earlier" hidden' in page) == (50, False)
        while True:
            found = json.loads(browser.get(f"/rooms/tapes/messages?before={before}").text)
            texts[:0] = [message["text"] for message in found["messages"]]
            before = found["messages"][0]["id"]
            if not found["more"]:
                break
        assert texts == [f"take {n}" for n in range(120)]
        assert browser.get("/rooms/tapes/messages?before=x").status == 400

    def test_a_new_room_needs_a_name_of_its_own(self, site: Site) -> None:
        browser = log_in(site)
        page = browser.submit(browser.get("/rooms/"), name="Axis: Bold as Love")
        assert page.url.endswith("/rooms/axis-bold-as-love/")
        for name in ("axis bold as love", "…"):
            assert browser.submit(browser.get("/rooms/"), name=name).status == 400

    def test_demo_may_be_run_again_but_not_in_production(self, project: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert prepared(project, database).returncode == 0
        count = "from chat.models import *; print(Room.objects.count(), Message.objects.count())"
        assert prepared(project, database, "shell", "-c", count).stdout.splitlines()[-1] == "3 11"
        assert prepared(project, database, "makemigrations", "--check").returncode == 0
        monkeypatch.setenv("CHAT_DEBUG", "0")
        monkeypatch.setenv("CHAT_SECRET_KEY", "of production")
        assert "it needs DEBUG" in prepared(project, database).stderr
