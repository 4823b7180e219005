"""A site that is launched by a command line of the documentation, with other ports, so that tests may run side by side."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

from pages import Page

from harness import Site

BIN: Final = Path(sys.executable).parent
ANY_PORT: Final = "tcp:0:interface=127.0.0.1"


def write_files(page: Page, directory: Path) -> None:
    """The files of a page, at any port, and telling which one in the file "ports"."""
    ports = f'"port_file": "{directory}/ports"'
    for block in page.of("python"):
        if block.name:
            text = re.sub(r'"http_port": \d+|"listen": \["tcp:8000\S*"\]', f'"listen": ["{ANY_PORT}"], {ports}', block.text)
            text = re.sub(r'"https_port": \d+', f'"https_port": 0, {ports}', text)
            (directory / block.name).write_text(text.replace("tcp:8007:", "tcp:0:"))


class Typed(Site):
    """The process of a command line that stands on a page.

    :param words: as they are typed.
    :param directory: where they are typed.
    """

    def __init__(self, words: list[str], directory: Path) -> None:
        daemon = words[0] == "twistd" and words[1] not in ("-n", "-ny", "--nodaemon")
        super().__init__(None, door="daemon" if daemon else "twistd", cwd=directory)
        self.port_file, self.pid_file = directory / "ports", directory / "site.pid"
        if daemon:
            self.log_file = directory / "twistd.log"
        self.command = [str(BIN / words[0]), *words[1:]]
        if words[0] in ("hx", "twist") or "hendrix" in words:
            self.command = [re.sub(r"^(--listen=(?:tcp|ssl)):\d+", r"\1:0", word) for word in self.command]
            listen = [] if any(word.startswith("--listen") for word in words) else [f"--listen={ANY_PORT}"]
            self.command += [*listen, f"--port-file={self.port_file}"]
