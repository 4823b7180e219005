"""Takes the pictures of chat.md and live-page.md: ``make pictures``. Needs chromium and chromedriver; with pngquant and optipng they become
small.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from base64 import b64decode
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests" / "examples"), str(ROOT / "tests" / "system")]

from chatting import Visitor, prepared, serve  # noqa: E402

from chromium import chromium  # noqa: E402
from nightly import Looker, busy, night, page_of  # noqa: E402

CHAT, LIVE_PAGE = ROOT / "docs" / "chat", ROOT / "docs" / "live-page"
DESKTOP, PHONE, WIDE = (1180, 740), (390, 780), (1360, 1020)
# Seconds of load before the pictures of the live page: all of its plots.
MINUTE = 66


def take(visitor: Visitor | Looker, path: Path, size: tuple[int, int], scheme: str) -> None:
    """A picture of somebody's window."""
    visitor.command(
        "Emulation.setDeviceMetricsOverride",
        width=size[0],
        height=size[1],
        deviceScaleFactor=2 if size == PHONE else 1.5,
        mobile=size == PHONE,
    )
    visitor.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    visitor.run("window.getSelection().empty(); document.getElementById('scroll')?.scrollTo(0, 1e6)")
    time.sleep(0.5)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b64decode(visitor.command("Page.captureScreenshot", format="png")["data"]))
    for command in (["pngquant", "--force", "--skip-if-larger", "--ext=.png", "128", str(path)], ["optipng", "-quiet", "-o4", str(path)]):
        if shutil.which(command[0]):
            subprocess.run(command, check=False)
    print(f"{path.relative_to(ROOT)}  {path.stat().st_size // 1024} KiB")


def chat() -> None:
    """A little evening in the studio, and who looks at it."""
    with tempfile.TemporaryDirectory() as directory:
        database = Path(directory) / "chat.sqlite3"
        project = ROOT / "examples" / "chat"
        prepared(project, database).check_returncode()
        with serve(project, database) as site, chromium(Path(directory) / "profile") as driver:
            jimi, mitch, noel, janis = (Visitor(driver, site, name) for name in ("jimi", "mitch", "noel", "janis"))
            jimi.visit("/")
            take(jimi, CHAT / "login.png", PHONE, "light")
            for each in (jimi, mitch, noel, janis):
                each.log_in("/rooms/studio/")
            noel.say("Two sugars for Mitch, as ever?")
            mitch.say("As ever. And <b>please</b>, not the decaf.")
            jimi.say("Take five, everybody. Then the second verse, Janis's way.")
            jimi.sees("Take five, everybody. Then the second verse, Janis's way.")
            janis.visit("/rooms/gear/")
            janis.connected()
            janis.say("Found it. It was in MY coat.")
            janis.sees("Found it. It was in MY coat.")
            noel.find("#text").send_keys("Which")
            take(jimi, CHAT / "light.png", DESKTOP, "light")
            noel.find("#text").send_keys(" key")
            take(jimi, CHAT / "dark.png", DESKTOP, "dark")
            take(mitch, CHAT / "phone.png", PHONE, "dark")
            mitch.visit("/rooms/")
            take(mitch, CHAT / "phone-rooms.png", PHONE, "light")
            jimi.offline()
            jimi.run("document.getElementById('text').value = ''")
            jimi.say("I am in the lift, can you still hear me?")
            take(jimi, CHAT / "offline.png", DESKTOP, "light")
            jimi.offline(False)


def live_page() -> None:
    """A shop at night, and who is on duty."""
    siblings = ("--sibling=cron:schedule=0 4 * * *:topic=backup", "--sibling=udp:port=0:topic=sensors", "--sibling=echo:endpoint=tcp\\:0")
    with tempfile.TemporaryDirectory() as directory, night("--workers=3", *siblings) as site, busy(site):
        with chromium(Path(directory)) as driver:
            looker = Looker(driver, page_of(site))
            looker.unlock()
            looker.run("document.querySelector('#range input[value=\"60\"]').click()")
            time.sleep(MINUTE)
            looker.run("document.querySelector('#failures details').open = true; document.activeElement.blur()")
            for scheme in ("light", "dark"):
                take(looker, LIVE_PAGE / f"{scheme}.png", WIDE, scheme)
                take(looker, LIVE_PAGE / f"phone-{scheme}.png", PHONE, scheme)
            looker.run("document.querySelector('.columns').scrollIntoView()")
            take(looker, LIVE_PAGE / "below.png", WIDE, "light")
            looker.command("Network.enable")
            looker.command("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1)
            looker.run("scrollTo(0, 0)")
            time.sleep(2)
            take(looker, LIVE_PAGE / "phone-disconnected.png", PHONE, "light")


if __name__ == "__main__":
    for each in [globals()[name] for name in sys.argv[1:]] or [chat, live_page]:
        each()
