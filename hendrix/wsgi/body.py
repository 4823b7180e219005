"""Where the content of a request waits until it is complete, and then is ``wsgi.input``.

The application is called when the whole content is here, so that a slow upload holds no thread. What is small stays in memory;
what is large goes to an unnamed temporary file.
"""

from __future__ import annotations

from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import IO

# Bytes. As in waitress: most forms and API calls are smaller, and a thousand uploads at once still fit in memory.
IN_MEMORY = 512 * 1024


def open_body(size: int | None) -> IO[bytes]:
    """A file for a content of ``size`` bytes, None if that is not known beforehand. Closing it frees it."""
    if size is not None and size <= IN_MEMORY:
        return BytesIO()
    return SpooledTemporaryFile(max_size=IN_MEMORY)
