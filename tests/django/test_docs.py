"""What docs/django.md states about the code is what the code states."""

from __future__ import annotations

import re
from pathlib import Path

from hendrix.django.backend import CrosstownTasks

PAGE = (Path(__file__).parents[2] / "docs/django.md").read_text(encoding="utf-8")


def test_the_options_of_the_backend_are_those_of_the_code() -> None:
    documented = re.findall(r"^\| `(\w+)` \| `", PAGE, re.MULTILINE)
    assert documented == re.findall(r"^    - ``(\w+)``:", CrosstownTasks.__doc__ or "", re.MULTILINE)


def test_its_python_is_python() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 5
    for block in blocks:
        compile(block, "docs/django.md", "exec")
