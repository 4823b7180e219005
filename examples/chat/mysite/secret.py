"""A secret key for development: made once, kept in a file, so that sessions outlive a restart and all workers agree."""

import os
import secrets
from pathlib import Path


def development_key(path: Path) -> str:
    """Return the key kept in ``path``; the first caller makes it, readable by its owner only."""
    if not path.exists():
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(50))
        try:
            os.link(draft, path)  # unlike a rename, never replaces the key of a process that was faster
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text()
