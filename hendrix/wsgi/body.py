"""Where the content of a request waits until it is complete, and then is ``wsgi.input``.

The application is called when the whole content is here, so that a slow upload holds no thread. What is small stays in memory;
what is large goes to an unnamed temporary file.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import IO

from twisted.logger import Logger

log = Logger(namespace="hendrix.wsgi")

# Bytes. As in waitress: most forms and API calls are smaller, and a thousand uploads at once still fit in memory.
IN_MEMORY = 512 * 1024


class Spool(SpooledTemporaryFile[bytes]):
    """In memory up to `IN_MEMORY` bytes, then on the disk."""

    def __init__(self) -> None:
        super().__init__(max_size=IN_MEMORY)

    def write(self, data: bytes) -> int:  # type: ignore[override]
        try:
            return super().write(data)
        except OSError as error:
            raise _logged(error)

    def seek(self, *arguments: int) -> int:
        try:
            return super().seek(*arguments)  # writes what is in the buffer
        except OSError as error:
            raise _logged(error)

    def close(self) -> None:
        """Never raises: a full disk may have no room for what is still in the buffer, and nobody wants it any more."""
        with suppress(OSError):
            super().close()

    if sys.version_info < (3, 11):  # which is when it became an io.IOBase

        def readable(self) -> bool:
            return True

        writable = seekable = readable


def _logged(error: OSError) -> OSError:
    log.error("there is no room for the content of a request: {error}; TMPDIR chooses the directory of large ones", error=error)
    return error


def open_body(size: int | None) -> IO[bytes]:
    """A file for a content of ``size`` bytes, None if that is not known beforehand. Closing it frees it."""
    if size is not None and size <= IN_MEMORY:
        return BytesIO()
    return Spool()
