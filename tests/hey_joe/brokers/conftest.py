"""Puts the helpers of this folder and of the one above where the tests import them from: test files are not a package."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent.parent / "system")]
