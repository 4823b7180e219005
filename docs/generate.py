"""Writes the tables of options.md from the table of settings: ``python docs/generate.py``, or ``make docs``.

A test compares, so that nobody has to remember it.
"""

from __future__ import annotations

import re
from pathlib import Path

from hendrix.options import TABLE, Row, flag

PAGE = Path(__file__).with_name("options.md")
BEGIN, END = "<!-- begin: made by generate.py -->\n", "<!-- end -->\n"


def options_page(text: str) -> str:
    """The page with fresh tables in place of those it has."""
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return before + BEGIN + tables() + END + after


def tables() -> str:
    """A table of settings for each group, in the order of the help."""
    parts = []
    for group in dict.fromkeys(row.group for row in TABLE.values()):
        parts.append(f"\n## {group}\n\n| option | default | range | |\n|---|---|---|---|\n")
        parts += [line(name, row) for name, row in TABLE.items() if row.group == group]
    return "".join(parts) + "\n"


def line(name: str, row: Row) -> str:
    """A row: the flag with its placeholder, the default, the range of a number, the words of the help."""
    default = f"`{row.default}`" if row.default else ""
    words = row.help.replace("*", "\\*").replace("|", "\\|")
    return f"| `{flag(name)}{'=' if row.value else ''}{row.value}` | {default} | {bounds(row)} | {words} |\n"


def bounds(row: Row) -> str:
    """What a number may be, as the reader of the setting says when it gets something else; empty for what is no number."""
    try:
        row.read(object())
    except ValueError as error:
        found = re.search(r"(?:number|seconds|bytes) from (\S+) to ([^\s,]+)", str(error))
        return f"{found[1]} to {found[2]}" if found else ""
    return ""


if __name__ == "__main__":
    PAGE.write_text(options_page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
