"""Writes the tables of options.md from the table of settings, and those of metrics.md from that of the families of metrics:
``python docs/generate.py``, or ``make docs``.

A test compares, so that nobody has to remember it.
"""

from __future__ import annotations

import re
from pathlib import Path

from hendrix.metrics.families import FAMILIES
from hendrix.options import TABLE, Row, flag

PAGE = Path(__file__).with_name("options.md")
METRICS = Path(__file__).with_name("metrics.md")
BEGIN, END = "<!-- begin: made by generate.py -->\n", "<!-- end -->\n"


def options_page(text: str) -> str:
    """The page with fresh tables in place of those it has."""
    return _with(text, tables())


def metrics_page(text: str) -> str:
    """The same of metrics."""
    rows = [f"| `{one.full_name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels)} | {one.help} |\n" for one in FAMILIES]
    return _with(text, "\n| metric | type | labels | |\n|---|---|---|---|\n" + "".join(rows) + "\n")


def _with(text: str, tables: str) -> str:
    return text.split(BEGIN)[0] + BEGIN + tables + END + text.split(END)[1]


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
    METRICS.write_text(metrics_page(METRICS.read_text(encoding="utf-8")), encoding="utf-8")
