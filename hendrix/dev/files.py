"""Which files matter: those whose change needs a new worker, and those that the worker that runs can read anew."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

CODE = frozenset((".py", ".pyd", ".so", ".toml", ".yaml", ".yml", ".ini", ".cfg", ".env"))
"""Suffixes of what is read at the start. Not JSON and the like: applications write such files, and would reload themselves."""

NOT_OURS = frozenset(("__pycache__", "node_modules", "site-packages", "venv"))
"""Directories whose files are none of the project; all whose names begin with a dot are such too, and virtual environments of any name."""


class Project:
    """The directories of a project.

    :param roots: absolute.
    """

    def __init__(self, roots: Iterable[str]) -> None:
        whole = [os.path.realpath(root) for root in roots]
        self.roots: Sequence[str] = [one for one in dict.fromkeys(whole) if not any(_inside(one, other) for other in whole)]

    def has(self, path: str) -> bool:
        """Whether the file is one of the project."""
        root = next((root for root in self.roots if _inside(path, root)), None)
        if root is None:
            return False
        *folders, name = Path(path).relative_to(root).parts
        if any(folder in NOT_OURS or folder.startswith(".") for folder in folders) or name.startswith(".#"):
            return False
        parents = [os.path.join(root, *folders[: depth + 1]) for depth in range(len(folders))]
        return not any(os.path.exists(os.path.join(parent, "pyvenv.cfg")) for parent in parents)

    def name(self, path: str) -> str:
        """Of a file, for people."""
        return next((os.path.relpath(path, root) for root in self.roots if _inside(path, root)), path)


def is_code(path: str) -> bool:
    return os.path.splitext(path)[1] in CODE or os.path.basename(path) == ".env"


def _inside(path: str, root: str) -> bool:
    return path != root and path.startswith(root.rstrip(os.sep) + os.sep)
