from __future__ import annotations

from pathlib import Path

from hendrix.siblings import echo

PAGE = Path(__file__).parents[2] / "docs/siblings.md"


def test_the_page_shows_all_of_it():
    code = Path(echo.__file__).read_text(encoding="utf-8").partition("from __future__ import annotations\n\n")[2]
    assert code in PAGE.read_text(encoding="utf-8")
