"""Takes the pictures of chat.md: ``make pictures``. Needs chromium and chromedriver; with pngquant and optipng they become small."""

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

PICTURES = ROOT / "docs" / "chat"
DESKTOP, PHONE = (1180, 740), (390, 780)


def take(visitor: Visitor, name: str, size: tuple[int, int], scheme: str) -> None:
    """A picture of the window of a visitor."""
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
    path = PICTURES / f"{name}.png"
    path.write_bytes(b64decode(visitor.command("Page.captureScreenshot", format="png")["data"]))
    for command in (["pngquant", "--force", "--skip-if-larger", "--ext=.png", "128", str(path)], ["optipng", "-quiet", "-o4", str(path)]):
        if shutil.which(command[0]):
            subprocess.run(command, check=False)
    print(f"{path.relative_to(ROOT)}  {path.stat().st_size // 1024} KiB")


def main() -> None:
    """A little evening in the studio, and who looks at it."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        database = Path(directory) / "chat.sqlite3"
        project = ROOT / "examples" / "chat"
        prepared(project, database).check_returncode()
        with serve(project, database) as site, chromium(Path(directory) / "profile") as driver:
            jimi, mitch, noel, janis = (Visitor(driver, site, name) for name in ("jimi", "mitch", "noel", "janis"))
            jimi.visit("/")
            take(jimi, "login", PHONE, "light")
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
            take(jimi, "light", DESKTOP, "light")
            noel.find("#text").send_keys(" key")
            take(jimi, "dark", DESKTOP, "dark")
            take(mitch, "phone", PHONE, "dark")
            mitch.visit("/rooms/")
            take(mitch, "phone-rooms", PHONE, "light")
            jimi.offline()
            jimi.run("document.getElementById('text').value = ''")
            jimi.say("I am in the lift, can you still hear me?")
            take(jimi, "offline", DESKTOP, "light")
            jimi.offline(False)


if __name__ == "__main__":
    main()
