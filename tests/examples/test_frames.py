"""The page of frames in a real Chromium, on a wire that the test lays; and what needs no browser."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import DEADLINE, Browser
from chatting import eventually
from veth import ETHERTYPE, Wire, frame, laid

from chromium import CHROMIUM, DRIVER, chromium
from harness import Site

try:
    import selenium  # noqa: F401
except ImportError:
    DRIVER = None

ROWS = "return [...document.querySelectorAll('#rows tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"
DUMP = "return [...document.querySelectorAll('#dump .letters')].map((letters) => letters.textContent).join('')"
# The frames are drawn for twenty seconds: no time between seeing that they are there, and holding them.
HOLD = "return find('count').textContent === arguments[0] && fresh.length === 0 && (find('pause').click(), true)"
POINT = """
    // Beside the line of the lane, and inside of the frame.
    const at = river.place(river.frames.find((frame) => frame.ethertype === 0x0806), river.stopped);
    const box = river.canvas.getBoundingClientRect(), ratio = devicePixelRatio;
    const pixel = river.pen.getImageData(Math.round(at.x * ratio), Math.round((at.y + 4) * ratio), 1, 1).data;
    return {x: box.x + at.x, y: box.y + at.y, pixel: [...pixel]};
"""


@pytest.fixture
def wire() -> Iterator[Wire]:
    """One end of it is here, where the browser is."""
    with laid(outside=True) as wire:
        yield wire


@pytest.fixture
def site(wire: Wire, examples: Path) -> Iterator[Site]:
    sibling = f"--sibling=ethernet:interface={wire.near}:outgoing=yes:promiscuous=yes"
    with Site("frames:app", sibling, "--grace=5", cwd=examples / "frames") as site:
        yield site


@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium, chromedriver and selenium: the frames are NOT TESTED in a browser")
def test_frames_are_drawn_and_sent(site: Site, wire: Wire, tmp_path: Path) -> None:
    with chromium(tmp_path / "profile") as driver, wire.socket(wire.far) as far:
        driver.get(f"{site.url}/")
        run: Any = driver.execute_script
        eventually(lambda: run("return joe.state === 'open' && joe.id !== null"), "the page is connected")
        far.send(frame(b"\2\0\0\0\0\x99", b"E, for others", 0x0800).ljust(1000, b"."))
        far.send(frame(payload=b"who has it?", ethertype=0x0806).ljust(60, b"\0"))
        eventually(lambda: run("return find('count').textContent") == "2", "both have come")
        driver.find_element("name", "text").send_keys("hello, wire\n")
        assert far.recv(2000) == frame(payload=b"hello, wire", source=b"\2hendx").ljust(60, b"\0")
        eventually(lambda: run(HOLD, "3"), "all are on the page")
        assert run(ROWS) == [
            ["Trial", "02:68:65:6e:64:78", "everybody", "60"],
            ["ARP", "02:00:00:00:00:07", "everybody", "60"],
            ["IPv4", "02:00:00:00:00:07", "02:00:00:00:00:99", "1000"],
        ]
        assert "hello, wire" in run(DUMP)
        eventually(lambda: run(POINT)["pixel"][3], "it is drawn")
        point = run(POINT)
        for kind in ("mousePressed", "mouseReleased"):
            where = {"x": point["x"], "y": point["y"], "button": "left", "clickCount": 1}
            driver.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": kind, **where})
        eventually(lambda: "who has it?" in run(DUMP), "a click shows what is inside")
        assert run("return find('which').textContent") == f"ARP, 60 bytes to all on {wire.near}"
        wire.ip("link", "set", wire.far, "down")
        wire.ip("link", "set", wire.far, "up")
        far.close()
        with wire.socket(wire.far) as again:
            again.send(frame(payload=b"again", ethertype=0x0806).ljust(60, b"\0"))
        eventually(lambda: run("return find('count').textContent") == "4", "it goes on")
        errors = [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
        assert errors == [], "what the policy forbids is on the console, too"


def test_someone_plays(site: Site, wire: Wire, examples: Path) -> None:
    with wire.socket(wire.far, ETHERTYPE) as far:
        command = [*wire.inside, sys.executable, str(examples / "frames" / "play.py"), wire.far, "--count=30", "--rate=1000"]
        subprocess.run(command, check=True, timeout=DEADLINE)
        browser = Browser(site.url)
        assert browser.post("/send", text="from no page").status == 204
        assert far.recv(2000)[14:26] == b"from no page"
        foreign = {"Sec-Fetch-Site": "cross-site", "Content-Type": "application/x-www-form-urlencoded"}
        assert site.request("POST", "/send", b"text=x", foreign).status == 403
        assert browser.get("/frames.py").status == 404
