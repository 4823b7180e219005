"""`wsgi.file_wrapper` (PEP 3333, "Optional Platform-Specific File Handling"): sent by the kernel where that is the same, read otherwise."""

# ruff: noqa: SIM115 (it is the server that closes them)

from __future__ import annotations

import gzip
import io
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from recording import Caller, Log, Recorder

from hendrix.wsgi.environ import FileWrapper

DATA = bytes(range(256)) * 1000
Open = Callable[[Path], Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    return path


def wrapping(file: Any, length: int | None = None, *block_size: int) -> Callable[..., Any]:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [] if length is None else [("Content-Length", str(length))])
        return environ["wsgi.file_wrapper"](file, *block_size)

    return app


def raw(path: Path) -> Any:
    return open(path, "rb", buffering=0)


def buffered(path: Path) -> Any:
    return open(path, "rb")


def to_and_fro(path: Path) -> Any:
    return open(path, "r+b")


def temporary(path: Path) -> Any:
    file = tempfile.TemporaryFile()
    file.write(path.read_bytes())
    file.seek(0)
    return file


PLAIN: list[Open] = [raw, buffered, to_and_fro, temporary]


class Decoder(io.FileIO):
    """A file, but not one whose bytes are those on the disk."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(-1 if size is None else size).upper()


class Proxy:
    """As `tempfile.NamedTemporaryFile`, with attributes of the file that it hides."""

    def __init__(self, file: Any) -> None:
        self.hidden = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self.hidden, name)

    def read(self, size: int = -1) -> bytes:
        return bytes(self.hidden.read(size)).upper()


class TestSent:
    """By the kernel: `Recorder.files` has what it was asked for."""

    @pytest.mark.parametrize("kind", PLAIN)
    @pytest.mark.parametrize("length", [None, len(DATA)])
    def test_whole(self, call: Caller, outlet: Recorder, path: Path, kind: Open, length: int | None) -> None:
        file = kind(path)
        result = call(wrapping(file, length))
        assert outlet.fields == {"Content-Length": str(len(DATA))}
        assert outlet.content == DATA
        assert outlet.files == [(0, len(DATA))]
        assert (result.sent, outlet.keep_alive, file.closed) == (len(DATA), True, True)

    @pytest.mark.parametrize("kind", PLAIN)
    @pytest.mark.parametrize("offset", [1, 1000, len(DATA) - 1])
    def test_from_where_it_stands(self, call: Caller, outlet: Recorder, path: Path, kind: Open, offset: int) -> None:
        """Buffered files have read further than they say."""
        file = kind(path)
        file.seek(offset - 1)
        file.read(1)
        call(wrapping(file))
        assert outlet.content == DATA[offset:]
        assert outlet.files == [(offset, len(DATA) - offset)]

    @pytest.mark.parametrize("kind", PLAIN)
    def test_a_part(self, call: Caller, outlet: Recorder, log: Log, path: Path, kind: Open) -> None:
        """As a response to a Range request is made."""
        file = kind(path)
        file.seek(1000)
        result = call(wrapping(file, 500))
        assert outlet.fields == {"Content-Length": "500"}
        assert outlet.content == DATA[1000:1500]
        assert (result.sent, outlet.keep_alive) == (500, True)
        assert not log, "a part of a file is no mistake"

    def test_block_size(self, call: Caller, outlet: Recorder, path: Path) -> None:
        call(wrapping(buffered(path), None, 10))
        assert outlet.content == DATA

    def test_closes_the_connection_when_asked(self, call: Caller, outlet: Recorder, path: Path) -> None:
        call(wrapping(buffered(path)), keep_alive=False)
        assert outlet.fields["Connection"] == "close"
        assert not outlet.keep_alive

    def test_http_1_0(self, call: Caller, outlet: Recorder, path: Path) -> None:
        """The length is known, so the connection may live."""
        call(wrapping(buffered(path)), http10=True)
        assert outlet.fields == {"Content-Length": str(len(DATA)), "Connection": "keep-alive"}


class TestRead:
    """Where the transport cannot send files: the same bytes."""

    @pytest.fixture
    def outlet(self, outlet: Recorder) -> Recorder:
        outlet.sends_files = False
        return outlet

    @pytest.mark.parametrize("kind", PLAIN)
    @pytest.mark.parametrize("offset", [0, 1, 1000])
    @pytest.mark.parametrize("length", [None, 100])
    def test_from_where_it_stands(
        self, call: Caller, outlet: Recorder, log: Log, path: Path, kind: Open, offset: int, length: int | None
    ) -> None:
        file = kind(path)
        file.seek(offset)
        result = call(wrapping(file, length))
        expected = DATA[offset:] if length is None else DATA[offset : offset + length]
        assert outlet.fields == {"Content-Length": str(len(expected))}
        assert outlet.content == expected
        assert not outlet.files
        assert (result.sent, outlet.keep_alive, file.closed) == (len(expected), True, True)
        assert not log

    def test_piece_by_piece(self, call: Caller, outlet: Recorder, path: Path) -> None:
        """Never the whole file in memory."""
        call(wrapping(buffered(path)))
        assert max(len(event[1]) for event in outlet.events) <= 65536

    @pytest.mark.parametrize("change", [-1000, 1000])
    def test_file_that_changes_while_it_is_read(self, call: Caller, outlet: Recorder, path: Path, change: int) -> None:
        """Growing: what was announced is sent. Shrinking: the client sees that there is less."""
        stream = outlet.stream

        def changing(data: bytes) -> None:
            os.truncate(path, len(DATA) + change)
            stream(data)

        outlet.stream = changing  # type: ignore[method-assign]
        call(wrapping(raw(path)))
        assert outlet.fields == {"Content-Length": str(len(DATA))}
        assert outlet.aborted is (change < 0)
        assert outlet.content == DATA[: len(DATA) + min(change, 0)]

    def test_client_that_leaves(self, call: Caller, outlet: Recorder, path: Path) -> None:
        outlet.leaves_after = 1
        file = buffered(path)
        call(wrapping(file))
        assert outlet.aborted
        assert file.closed


class TestLength:
    @pytest.mark.parametrize("kind", PLAIN)
    @pytest.mark.parametrize("sends_files", [True, False])
    @pytest.mark.parametrize("size", [0, 10])
    def test_of_more_than_there_is(self, call: Caller, outlet: Recorder, path: Path, kind: Open, sends_files: bool, size: int) -> None:
        """The client waits for the rest in vain unless it sees the connection break."""
        outlet.sends_files = sends_files
        path.write_bytes(DATA[:size])
        call(wrapping(kind(path), 20))
        assert outlet.fields == {"Content-Length": "20"}
        assert outlet.content == DATA[:size]
        assert outlet.aborted

    @pytest.mark.parametrize("sends_files", [True, False])
    def test_of_nothing(self, call: Caller, outlet: Recorder, path: Path, sends_files: bool) -> None:
        outlet.sends_files = sends_files
        for app in (
            wrapping(buffered(path), 0),
            wrapping(open(os.devnull, "rb")),
            wrapping(self._at_its_end(path)),
            wrapping(io.BytesIO()),
        ):
            outlet.__init__()  # type: ignore[misc]
            call(app)
            assert outlet.fields == {"Content-Length": "0"}
            assert outlet.content == b""
            assert outlet.keep_alive

    def _at_its_end(self, path: Path) -> Any:
        file = buffered(path)
        file.seek(len(DATA) + 100)
        return file

    @pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
    def test_status_without_content(self, call: Caller, outlet: Recorder, path: Path, status: str) -> None:
        call(lambda environ, start: start(status, []) and environ["wsgi.file_wrapper"](buffered(path)))
        assert (outlet.content, outlet.files, outlet.keep_alive) == (b"", [], True)

    def test_head(self, call: Caller, outlet: Recorder, path: Path) -> None:
        file = buffered(path)
        call(wrapping(file), "HEAD")
        assert outlet.fields == {"Content-Length": str(len(DATA))}
        assert (outlet.content, outlet.files, file.closed) == (b"", [], True)


class TestNotPlain:
    """What is no file on the disk, or is not read as it lies there, is asked for its content."""

    def is_read(self, call: Caller, outlet: Recorder, file: Any, expected: bytes, length: int | None = None) -> None:
        call(wrapping(file, length))
        assert outlet.body == expected
        assert not outlet.files
        assert not outlet.aborted

    def test_gzip(self, call: Caller, outlet: Recorder, path: Path) -> None:
        """It has a fileno(), of the compressed file."""
        path.write_bytes(gzip.compress(DATA))
        self.is_read(call, outlet, gzip.open(path), DATA)

    def test_gzip_with_length(self, call: Caller, outlet: Recorder, path: Path) -> None:
        path.write_bytes(gzip.compress(DATA))
        self.is_read(call, outlet, gzip.open(path), DATA, len(DATA))

    def test_memory(self, call: Caller, outlet: Recorder) -> None:
        self.is_read(call, outlet, io.BytesIO(DATA), DATA)

    def test_kind_of_file_that_decodes(self, call: Caller, outlet: Recorder, path: Path) -> None:
        path.write_bytes(b"hello")
        self.is_read(call, outlet, Decoder(path), b"HELLO")

    def test_buffered_decoder(self, call: Caller, outlet: Recorder, path: Path) -> None:
        path.write_bytes(b"hello")

        class Upper(io.BufferedReader):
            def read(self, size: int | None = -1) -> bytes:
                return super().read(size).upper()

        self.is_read(call, outlet, Upper(open(path, "rb", buffering=0)), b"HELLO")

    def test_proxy(self, call: Caller, outlet: Recorder, path: Path) -> None:
        path.write_bytes(b"hello")
        for kind in (raw, buffered):
            outlet.__init__()  # type: ignore[misc]
            self.is_read(call, outlet, Proxy(kind(path)), b"HELLO")

    def test_named_temporary_file(self, call: Caller, outlet: Recorder) -> None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(DATA)
            file.seek(5)
            call(wrapping(file))
            assert outlet.body == DATA[5:]

    def test_spooled_temporary_file(self, call: Caller, outlet: Recorder) -> None:
        for size in (100, 100_000_000):
            outlet.__init__()  # type: ignore[misc]
            file = tempfile.SpooledTemporaryFile(max_size=size)
            file.write(DATA)
            file.seek(5)
            call(wrapping(file))
            assert outlet.body == DATA[5:]

    def test_pipe(self, call: Caller, outlet: Recorder) -> None:
        for buffering in (0, -1):
            outlet.__init__()  # type: ignore[misc]
            reading, writing = os.pipe()
            os.write(writing, b"hello")
            os.close(writing)
            self.is_read(call, outlet, open(reading, "rb", buffering=buffering), b"hello")

    def test_socket(self, call: Caller, outlet: Recorder) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(b"hello")
            theirs.close()
            self.is_read(call, outlet, ours.makefile("rb"), b"hello")

    def test_only_read(self, call: Caller, outlet: Recorder) -> None:
        """All that PEP 3333 asks of it."""

        class Reader:
            left = DATA[:10]

            def read(self, size: int) -> bytes:
                assert size == 3
                piece, self.left = self.left[:size], self.left[size:]
                return piece

        call(wrapping(Reader(), None, 3))
        assert (
            outlet.content == b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in (DATA[0:3], DATA[3:6], DATA[6:9], DATA[9:10])) + b"0\r\n\r\n"
        )

    def test_text(self, call: Caller, outlet: Recorder, path: Path) -> None:
        path.write_text("hello")
        call(wrapping(open(path)))
        assert outlet.status.startswith("HTTP/1.1 500 ")

    def test_closed(self, call: Caller, outlet: Recorder, path: Path) -> None:
        for kind in (raw, buffered):
            outlet.__init__()  # type: ignore[misc]
            file = kind(path)
            file.close()
            call(wrapping(file))
            assert outlet.status.startswith("HTTP/1.1 500 ")

    def test_wrapper_in_a_wrapper_of_a_middleware(self, call: Caller, outlet: Recorder, path: Path) -> None:
        """What another class makes of it counts."""

        def app(environ: Any, start_response: Any) -> Iterator[bytes]:
            yield from (piece.upper() for piece in wrapping(buffered(path))(environ, start_response))

        path.write_bytes(b"hello")
        call(app)
        assert outlet.body == b"HELLO"
        assert not outlet.files

    def test_after_write(self, call: Caller, outlet: Recorder, path: Path) -> None:
        def app(environ: Any, start_response: Any) -> Any:
            start_response("200 OK", [])(b"first ")
            return environ["wsgi.file_wrapper"](buffered(path))

        path.write_bytes(b"hello")
        call(app)
        assert outlet.body == b"first hello"
        assert not outlet.files

    def test_without_start_response(self, call: Caller, outlet: Recorder, path: Path) -> None:
        file = buffered(path)
        call(lambda environ, start: environ["wsgi.file_wrapper"](file))
        assert outlet.status.startswith("HTTP/1.1 500 ")
        assert file.closed


class TestErrors:
    def test_of_the_outlet(self, call: Caller, outlet: Recorder, path: Path) -> None:
        """Part of the response may be out: no second head."""

        def fails(data: bytes, file: int, offset: int, count: int) -> bool:
            raise OSError("no more descriptors")

        outlet.send_file = fails  # type: ignore[method-assign]
        file = buffered(path)
        call(wrapping(file))
        assert outlet.aborted
        assert outlet.wire == b""
        assert file.closed

    def test_of_reading(self, call: Caller, outlet: Recorder) -> None:
        class Broken:
            closed = False

            def read(self, size: int) -> bytes:
                raise OSError("the disk is broken")

            def close(self) -> None:
                self.closed = True

        file = Broken()
        call(wrapping(file))
        assert outlet.status.startswith("HTTP/1.1 500 ")
        assert file.closed


class TestWrapper:
    def test_without_close(self) -> None:
        class Reader:
            def read(self, size: int) -> bytes:
                return b""

        assert not hasattr(FileWrapper(Reader()), "close")

    def test_is_an_iterator(self) -> None:
        wrapper = FileWrapper(io.BytesIO(b"hello"), 2)
        assert iter(wrapper) is wrapper
        assert list(wrapper) == [b"he", b"ll", b"o"]
        wrapper.close()
        assert wrapper.file.closed

    def test_a_close_that_was_put_there(self, call: Caller, outlet: Recorder, path: Path) -> None:
        """Django puts the close() of its response on the file."""
        file, closed = buffered(path), []
        close = file.close
        file.close = lambda: closed.append(close())
        call(wrapping(file))
        assert outlet.files
        assert closed == [None]
