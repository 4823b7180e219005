"""Puts the helpers of this folder where the tests import them from: test files are not a package."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
