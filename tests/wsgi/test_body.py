"""`hendrix.wsgi.body`: ``wsgi.input`` (PEP 3333, "Input and Error Streams"), small and large, of known and unknown length."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hendrix.wsgi.body import IN_MEMORY, Spool, open_body

LINES = b"".join(b"line %d\n" % number for number in range(100)) + b"no end"
LARGE = LINES * (IN_MEMORY // len(LINES) + 1)


def filled(size: int | None, data: bytes, piece: int = 1000) -> Any:
    """As the parser fills it."""
    body = open_body(size)
    for start in range(0, len(data), piece):
        body.write(data[start : start + piece])
    body.seek(0)
    return body


def is_on_disk(body: Any) -> bool:
    return isinstance(body, Spool) and bool(body._rolled)  # type: ignore[attr-defined]


KINDS = {
    "small": lambda data: filled(len(data), data),
    "of unknown length": lambda data: filled(None, data),
    "on disk": lambda data: filled(IN_MEMORY + 1, data + b"\0" * (IN_MEMORY + 1)),
    "of unknown length on disk": lambda data: filled(None, data + b"\0" * (IN_MEMORY + 1)),
}


class TestWhere:
    @pytest.mark.parametrize("size", [0, 1, IN_MEMORY - 1, IN_MEMORY])
    def test_in_memory(self, size: int) -> None:
        assert isinstance(filled(size, b"x" * size, 65536), io.BytesIO)
        assert not is_on_disk(filled(None, b"x" * size, 65536))

    def test_on_disk(self) -> None:
        data = b"x" * (IN_MEMORY + 1)
        for size in (len(data), None):
            body = filled(size, data, 65536)
            assert is_on_disk(body)
            assert body.read() == data

    def test_not_before_it_has_come(self) -> None:
        """An announcement costs nothing."""
        assert not is_on_disk(filled(1 << 40, b"x" * 1000))

    def test_unnamed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing is left behind, not even when the process dies."""
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        body = filled(None, b"x" * (IN_MEMORY + 1), 65536)
        assert is_on_disk(body)
        assert not list(tmp_path.iterdir())

    def test_closing_frees_it(self) -> None:
        body = filled(None, LARGE, 65536)
        descriptor = body.fileno()
        body.close()
        assert body.closed
        with pytest.raises(OSError, match="Bad file descriptor"):
            io.FileIO(descriptor)
        body.close()


class TestReading:
    """Each method of PEP 3333, with and without its optional argument."""

    @pytest.fixture(params=list(KINDS.values()), ids=list(KINDS))
    def body(self, request: pytest.FixtureRequest) -> Any:
        return request.param(LINES + b"\n")

    @pytest.mark.parametrize("size", [(), (-1,), (None,)])
    def test_read_all(self, body: Any, size: tuple[int, ...]) -> None:
        data = body.read(*size)
        assert data.rstrip(b"\0") == LINES + b"\n"
        assert body.read(*size) == b""
        assert body.read(5) == b""

    def test_read_some(self, body: Any) -> None:
        assert [body.read(4), body.read(0), body.read(3), body.read(1)] == [b"line", b"", b" 0\n", b"l"]

    def test_read_beyond_the_end(self, body: Any) -> None:
        """PEP 3333: a server should "simulate an end-of-file condition"."""
        assert body.read(1 << 30).startswith(LINES)
        assert body.read(1 << 30) == b""

    def test_readline(self, body: Any) -> None:
        assert [body.readline(), body.readline(3), body.readline(100), body.readline(-1), body.readline(0)] == [
            b"line 0\n",
            b"lin",
            b"e 1\n",
            b"line 2\n",
            b"",
        ]

    def test_readlines(self, body: Any) -> None:
        assert body.readlines()[:101] == (LINES + b"\n").splitlines(keepends=True)
        assert body.readlines() == []

    def test_readlines_hint(self, body: Any) -> None:
        assert body.readlines(1) == [b"line 0\n"]
        assert body.readlines(8) == [b"line 1\n", b"line 2\n"]

    def test_iteration(self, body: Any) -> None:
        lines = iter(body)
        assert [next(lines), next(lines)] == [b"line 0\n", b"line 1\n"]
        assert list(lines)[:99] == [b"line %d\n" % number for number in range(2, 100)] + [b"no end\n"]

    def test_mixed(self, body: Any) -> None:
        assert body.read(3) + body.readline() + next(iter(body)) + body.read(4) == b"line 0\nline 1\nline"

    def test_as_text(self, body: Any) -> None:
        """On Python 3.10, too."""
        assert body.readable() and body.seekable()
        assert io.TextIOWrapper(body, "ascii").readline() == "line 0\n"

    def test_empty(self) -> None:
        for size in (0, None):
            body: Any = open_body(size)
            assert (body.read(), body.readline(), body.readlines(), list(body)) == (b"", b"", [], [])


FULL = """
import resource, signal, sys
from twisted.logger import globalLogPublisher, formatEvent
from hendrix.errors import PeerError
from hendrix.wire.http1 import RequestParser
from hendrix.wsgi.body import open_body

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
size = int(sys.argv[2])
globalLogPublisher.addObserver(lambda event: print(formatEvent(event)))
parser = RequestParser(32768, 1 << 30, open_body)
parser.feed(b"PUT / HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: %d\\r\\n\\r\\n" % size)
try:
    for _ in range(size // 1000):
        parser.feed(b"x" * 1000)
except PeerError as error:
    print(error.status, error)
parser.close()
print(len(parser.requests))
"""


@pytest.mark.parametrize("room", [0, IN_MEMORY, IN_MEMORY + 1000, 599_999])
def test_full_disk(room: int) -> None:
    """The client hears 503, and no more; be it when content is written, or at its end when the last of it is. The log has the reason."""
    done = subprocess.run([sys.executable, "-c", FULL, str(room), "600000"], capture_output=True, text=True, check=True)
    logged, answer, requests = done.stdout.splitlines()
    assert "no room for the content of a request: [Errno" in logged
    assert (answer, requests) == ("503 there is no room for the content", "0")


def test_room_enough() -> None:
    done = subprocess.run([sys.executable, "-c", FULL, "600000", "600000"], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
