"""The documentation is tested: what it says exists, what it tells people to type works."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
