"""The key of an onion service, which is its address: in a file that nobody else may read, or in memory only."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from base64 import b64decode, b64encode

from hendrix.errors import ConfigurationError

# What tor's ADD_ONION takes and gives: the expanded key, 64 bytes.
PREFIX = "ED25519-V3:"
SIZE = 64
# hs_ed25519_secret_key, as tor itself keeps it in a HiddenServiceDir.
TORS_OWN = b"== ed25519v1-secret: type0 ==\x00\x00\x00"


class Key:
    """:param file: where it is kept; "" for a key that goes with the process.

    :ivar text: as ADD_ONION takes it; "" if there is none yet.
    """

    def __init__(self, file: str) -> None:
        self._file = os.path.abspath(file) if file else ""
        self.text = ""

    def read(self) -> None:
        """From its file, if that is there and it has not been read. Raises `ConfigurationError`."""
        if self.text or not self._file:
            return
        try:
            with open(self._file, "rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                content = file.read(4096)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unusable(error.strerror or str(error), "give a file that this user may read") from None
        if not stat.S_ISREG(mode) or mode & 0o077:
            raise self._unusable("others may read it", f"chmod 600 {self._file}, and make a new key if somebody has")
        self.text = self._parsed(content)

    def keep(self, text: str) -> None:
        """A key that tor has made. The file appears as a whole, with the mode 600. Raises `ConfigurationError`."""
        self.text = text
        if not self._file:
            return
        temporary = ""
        try:
            handle, temporary = tempfile.mkstemp(dir=os.path.dirname(self._file), prefix=".hendrix-")  # 600 from the beginning
            with open(handle, "w") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, self._file)  # unlike a rename, never over a key that somebody else has put there
        except OSError as error:
            raise self._unusable(error.strerror or str(error), "give a file in a directory that this user may write to") from None
        finally:
            if temporary:
                os.unlink(temporary)

    def _parsed(self, content: bytes) -> str:
        if content.startswith(TORS_OWN) and len(content) == len(TORS_OWN) + SIZE:
            return PREFIX + b64encode(content[len(TORS_OWN) :]).decode()
        found = re.fullmatch(rf"{PREFIX}([A-Za-z0-9+/]{{86}}==)", content.decode("ascii", "replace").strip())
        if found is None or len(b64decode(found[1])) != SIZE:
            raise self._unusable("that is no key", "give one of tor's (hs_ed25519_secret_key), or a file that is not there yet")
        return found[0]

    def _unusable(self, why: str, advice: str) -> ConfigurationError:
        return ConfigurationError(f"key_file={self._file}: {why}; {advice}")
