"""The pages of the documentation, and what stands in them: blocks of code, links, headings, tables, options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]

_FENCE: Final = re.compile(r"(?:^<!-- not run: (.*) -->\n\n?)?^```([\w{}-]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"(?<!!)\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
_SEPARATOR: Final = re.compile(r"&&|\|\||[;|&]")


@dataclass(frozen=True)
class Block:
    """A fenced block of code.

    :ivar left: why no test runs it, where a comment of HTML before it says so: ``<!-- not run: ... -->``.
    :ivar name: of the file that it is, where its first line says so in a comment.
    """

    language: str
    text: str
    left: str = ""

    @property
    def name(self) -> str | None:
        match = re.match(r"# (\w+\.(?:py|tac))\n", self.text)
        return match[1] if match else None


@dataclass(frozen=True)
class Page:
    """A file in Markdown."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def prose(self) -> str:
        """The text without its blocks of code."""
        return _FENCE.sub("", self.text)

    @cached_property
    def blocks(self) -> list[Block]:
        return [Block(language, text, left) for left, language, text in _FENCE.findall(self.text)]

    @property
    def links(self) -> list[str]:
        return _LINK.findall(self.prose)

    @property
    def anchors(self) -> set[str]:
        """What a link may name after ``#``: the headings as GitHub and MyST spell them."""
        titles = (re.sub(r"[`*\[\]]|\(\S*\)", "", title).lower() for title in _HEADING.findall(self.prose))
        return {re.sub(r"[^\w -]", "", title).strip().replace(" ", "-") for title in titles}

    def of(self, language: str) -> list[Block]:
        return [block for block in self.blocks if block.language == language]

    @property
    def commands(self) -> list[list[str]]:
        """The simple commands of the blocks in ``sh``, and the command lines of the doors in the text, as words."""
        quoted = re.findall(r"`((?:twistd|twist|hx) -[^`]*|hx \w[^`]*|twist hendrix[^`]*)`", self.prose)
        return [words for script in [*(block.text for block in self.of("sh")), *quoted] for words in commands(script)]

    def column(self, heading: str) -> list[str]:
        """The first cells of the tables under a heading, up to the next one; without the backticks."""
        section = self.text.split(f"{heading}\n", 1)[1]
        section = re.split(r"^#", section, maxsplit=1, flags=re.MULTILINE)[0]
        rows = [line.split("|")[1].strip().strip("`") for line in section.splitlines() if line.startswith("|")]
        return [cell for cell in rows[1:] if not cell.startswith("---")]


def commands(script: str) -> Iterator[list[str]]:
    """The words of each simple command of a script of the plain kind: no quotes around separators, no control structures."""
    for line in script.replace("\\\n", " ").splitlines():
        for part in _SEPARATOR.split(line.partition(" #")[0]):
            if words := shlex.split(part, comments=True):
                yield words


README: Final = Page(ROOT / "README.md")
ARCHITECTURE: Final = Page(ROOT / "ARCHITECTURE.md")
DOCS: Final = [Page(path) for path in sorted((ROOT / "docs").glob("*.md"))]
OURS: Final = [README, ARCHITECTURE, *DOCS]
"""What is for users and newcomers."""

ALL: Final = [Page(path) for folder in (".", "docs", "examples", "bench") for path in sorted((ROOT / folder).glob("*.md"))]
"""Every page of the repository."""


def page(name: str) -> Page:
    """A page of docs/."""
    return Page(ROOT / "docs" / name)
