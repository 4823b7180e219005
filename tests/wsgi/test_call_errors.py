"""`hendrix.wsgi.call`: what an application does wrong becomes a clean 500, or a broken connection if something is out; and is logged."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from recording import Caller, Log, Recorder

from hendrix.errors import AppError, Disconnected

Start = Callable[..., Callable[[bytes], None]]
ERROR_500 = b"500 Internal Server Error\n"


class Oops(Exception):
    """Of the application."""


def is_500(outlet: Recorder, *, keep_alive: bool = True) -> bool:
    assert outlet.status == "HTTP/1.1 500 Internal Server Error"
    assert outlet.fields["Content-Length"] == str(len(ERROR_500))
    assert outlet.keep_alive is keep_alive
    assert outlet.fields.get("Connection") == (None if keep_alive else "close")
    assert len(outlet.events) == 1, outlet.events
    return outlet.content == ERROR_500


ERRORS = [
    Oops("why"),
    SystemExit(1),
    KeyboardInterrupt(),
    GeneratorExit(),
    StopIteration(),
    MemoryError(),
    RecursionError(),
    BaseException("bare"),
]


class TestRaising:
    @pytest.mark.parametrize("error", ERRORS, ids=repr)
    def test_in_the_call(self, call: Caller, outlet: Recorder, log: Log, error: BaseException) -> None:
        def app(environ: Any, start_response: Start) -> Any:
            raise error

        result = call(app, target="/raising?a=b")
        assert is_500(outlet)
        assert (result.code, result.over, result.sent) == ("500", True, len(ERROR_500))
        assert log.failures == [error]
        assert log.lines == [f"GET /raising?a=b raised {type(error).__name__}"]

    @pytest.mark.parametrize("error", ERRORS, ids=repr)
    def test_after_start_response(self, call: Caller, outlet: Recorder, error: BaseException) -> None:
        def app(environ: Any, start_response: Start) -> Any:
            start_response("200 OK", [("X-Lost", "1")])
            raise error

        assert call(app).code == "500"
        assert is_500(outlet)
        assert b"X-Lost" not in outlet.wire

    @pytest.mark.parametrize("length", [None, 5, 11])
    @pytest.mark.parametrize("before", [[], [b""], [b"", b""]])
    def test_in_the_generator_before_the_first_piece(self, call: Caller, outlet: Recorder, before: list[bytes], length: int | None) -> None:
        def app(environ: Any, start_response: Start) -> Iterator[bytes]:
            start_response("200 OK", [] if length is None else [("Content-Length", str(length))])
            yield from before
            raise Oops

        call(app)
        assert is_500(outlet)

    @pytest.mark.parametrize("length", [None, 11])
    @pytest.mark.parametrize("before", [[b"hello"], [b"", b"hello"], [b"hello", b""], [b"hello", b" "]])
    def test_in_the_generator_after_it(self, call: Caller, outlet: Recorder, log: Log, before: list[bytes], length: int | None) -> None:
        """Nothing that looks like an end, and no second head."""

        def app(environ: Any, start_response: Start) -> Iterator[bytes]:
            start_response("200 OK", [] if length is None else [("Content-Length", str(length))])
            yield from before
            raise Oops

        result = call(app)
        assert outlet.aborted
        assert result.over
        assert result.code == "200"
        assert outlet.wire.count(b"HTTP/1.1") == 1
        assert not outlet.content.endswith(b"0\r\n\r\n")
        assert isinstance(log.failures[0], Oops)

    def test_in_the_generator_when_the_client_has_all(self, call: Caller, outlet: Recorder, log: Log) -> None:
        """The response was complete: it stands, and so does the connection."""

        def app(environ: Any, start_response: Start) -> Iterator[bytes]:
            start_response("200 OK", [("Content-Length", "5")])
            yield b"hello"
            raise Oops

        call(app)
        assert outlet.content == b"hello"
        assert outlet.keep_alive
        assert isinstance(log.failures[0], Oops)

    def test_after_write(self, call: Caller, outlet: Recorder) -> None:
        def app(environ: Any, start_response: Start) -> Any:
            start_response("200 OK", [])(b"hello")
            raise Oops

        call(app)
        assert outlet.aborted
        assert outlet.content == b"5\r\nhello\r\n"

    def test_after_write_of_nothing(self, call: Caller, outlet: Recorder) -> None:
        def app(environ: Any, start_response: Start) -> Any:
            start_response("200 OK", [])(b"")
            raise Oops

        call(app)
        assert is_500(outlet)

    @pytest.mark.parametrize("attribute", ["__iter__", "__next__", "__len__"])
    def test_in_the_protocol_of_iteration(self, call: Caller, outlet: Recorder, attribute: str) -> None:
        def raises(self: object) -> Any:
            raise Oops

        methods = {"__iter__": lambda self: self, "__next__": lambda self: b"hello", attribute: raises}
        kind = type("Odd", (), methods)
        call(lambda environ, start: start("200 OK", []) and kind())
        assert is_500(outlet)

    def test_head(self, call: Caller, outlet: Recorder) -> None:
        def app(environ: Any, start_response: Start) -> Any:
            raise Oops

        call(app, "HEAD")
        assert outlet.status.startswith("HTTP/1.1 500 ")
        assert outlet.content == b""

    @pytest.mark.parametrize("how", ["client", "draining", "http10"])
    def test_connection(self, call: Caller, outlet: Recorder, how: str) -> None:
        def app(environ: Any, start_response: Start) -> Any:
            raise Oops

        outlet.draining = how == "draining"
        call(app, keep_alive=how != "client", http10=how == "http10")
        assert is_500(outlet, keep_alive=False)

    def test_what_cannot_be_shown(self, call: Caller, outlet: Recorder, log: Log) -> None:
        class Unspeakable(Exception):
            def __str__(self) -> str:
                raise Oops

            __repr__ = __str__

        def app(environ: Any, start_response: Start) -> Any:
            raise Unspeakable

        call(app)
        assert is_500(outlet)
        assert log.lines == ["GET / raised Unspeakable"]

    def test_the_content_of_the_request_is_let_go_of(self, call: Caller, outlet: Recorder) -> None:
        """`call` looks at that each time."""

        def app(environ: Any, start_response: Start) -> Any:
            assert environ["wsgi.input"].read(1) == b"h"
            raise Oops

        call(app, "POST", content=b"hello")
        assert is_500(outlet)


class TestStartResponse:
    def test_twice(self, call: Caller, outlet: Recorder, log: Log) -> None:
        def app(environ: Any, start_response: Start) -> list[bytes]:
            start_response("200 OK", [])
            start_response("404 Not Found", [])
            return [b"hello"]

        call(app)
        assert is_500(outlet)
        assert isinstance(log.failures[0], AppError)
        assert "twice" in str(log.failures[0])

    def test_twice_and_caught(self, call: Caller, outlet: Recorder) -> None:
        def app(environ: Any, start_response: Start) -> list[bytes]:
            start_response("200 OK", [])
            with pytest.raises(AppError):
                start_response("404 Not Found", [], None)
            return [b"hello"]

        call(app)
        assert outlet.status == "HTTP/1.1 200 OK"

    @pytest.mark.parametrize("pieces", [[], [b""], [b"hello"], [b"hello", b"world"]])
    @pytest.mark.parametrize("kind", [list, tuple, iter])
    def test_never(self, call: Caller, outlet: Recorder, log: Log, kind: Callable[[Any], Any], pieces: list[bytes]) -> None:
        call(lambda environ, start: kind(pieces))
        assert is_500(outlet)
        assert "did not call start_response" in str(log.failures[0])

    def test_in_the_generator(self, call: Caller, outlet: Recorder) -> None:
        """PEP 3333: "by the time of the first iteration"."""

        def app(environ: Any, start_response: Start) -> Iterator[bytes]:
            yield b""
            start_response("200 OK", [])
            yield b"hello"

        call(app)
        assert outlet.body == b"hello"

    def test_after_the_first_piece(self, call: Caller, outlet: Recorder) -> None:
        def app(environ: Any, start_response: Start) -> Iterator[bytes]:
            yield b"hello"
            start_response("200 OK", [])

        call(app)
        assert is_500(outlet)

    def test_write_without_it(self, call: Caller, outlet: Recorder) -> None:
        """The write of one response is of no use for another."""
        writes = []

        def app(environ: Any, start_response: Start) -> list[bytes]:
            writes.append(start_response("200 OK", []))
            return [b"hello"]

        call(app)
        with pytest.raises(AppError, match="after the end"):
            writes[0](b"more")
        assert outlet.body == b"hello"

    @pytest.mark.parametrize(
        "arguments",
        [
            *((), ("200 OK",), (None, []), ("200", None), (b"200 OK", []), (200, []), ("100 Continue", []), ("200 OK\r\nX: y", [])),
            *(("200 OK", [("X", "a\r\nb: c")]), ("200 OK", [("X\n", "a")]), ("200 OK", [("X", 1)]), ("200 OK", [("X", b"1")])),
            *(("200 OK", [("X",)]), ("200 OK", ["X: y"]), ("200 OK", {"X": "y"}), ("200 OK", [("X", "\u20ac")])),
            *(("200 OK", [("Content-Length", "x")]), ("200 OK", [("Content-Length", 5)]), ("200 OK", 5)),
        ],
    )
    @pytest.mark.parametrize("kind", ["list", "generator", "write"])
    def test_wrong_arguments(self, call: Caller, outlet: Recorder, kind: str, arguments: tuple[Any, ...]) -> None:
        def app(environ: Any, start_response: Start) -> Any:
            write = start_response(*arguments)
            if kind == "write":
                write(b"hello")
            return iter([b"hello"]) if kind == "generator" else [b"hello"]

        call(app)
        assert is_500(outlet)


class TestExcInfo:
    """PEP 3333, "Error Handling"."""

    def test_replaces_a_head_that_is_not_sent(self, call: Caller, outlet: Recorder, log: Log) -> None:
        def app(environ: Any, start_response: Start) -> list[bytes]:
            start_response("200 OK", [("X-Lost", "1")])
            try:
                raise Oops
            except Oops:
                start_response("503 Sorry", [("X-Kept", "1")], sys.exc_info())
            return [b"sorry"]

        call(app)
        assert (outlet.status, outlet.body) == ("HTTP/1.1 503 Sorry", b"sorry")
        assert outlet.fields == {"X-Kept": "1", "Content-Length": "5"}
        assert not log

    def test_also_as_the_first_call_and_the_third(self, call: Caller, outlet: Recorder) -> None:
        def app(environ: Any, start_response: Start) -> Iterator[bytes]:
            for status in ("500 A", "500 B", "500 C"):
                try:
                    raise Oops
                except Oops:
                    start_response(status, [], exc_info=sys.exc_info())
                yield b""
            yield b"sorry"

        call(app)
        assert (outlet.status, outlet.body) == ("HTTP/1.1 500 C", b"sorry")

    def test_write_of_the_first_call_goes_on(self, call: Caller, outlet: Recorder) -> None:
        def app(environ: Any, start_response: Start) -> list[bytes]:
            write = start_response("200 OK", [])
            try:
                raise Oops
            except Oops:
                start_response("500 Sorry", [], sys.exc_info())
            write(b"sorry")
            return []

        call(app)
        assert (outlet.status, outlet.body) == ("HTTP/1.1 500 Sorry", b"sorry")

    @pytest.mark.parametrize("how", ["generator", "write"])
    def test_raises_again_when_the_head_is_sent(self, call: Caller, outlet: Recorder, log: Log, how: str) -> None:
        error = Oops("original")

        def fail(start_response: Start) -> None:
            try:
                raise error
            except Oops:
                start_response("500 Sorry", [], sys.exc_info())
            raise AssertionError("not raised again")

        def generator(environ: Any, start_response: Start) -> Iterator[bytes]:
            start_response("200 OK", [])
            yield b"hello"
            fail(start_response)

        def write(environ: Any, start_response: Start) -> Any:
            start_response("200 OK", [])(b"hello")
            fail(start_response)

        call({"generator": generator, "write": write}[how])
        assert outlet.status == "HTTP/1.1 200 OK"
        assert outlet.aborted
        assert log.failures == [error]
        assert any(frame.name == "fail" for frame in _frames(error)), "the traceback is not the original one"

    def test_of_no_exception(self, call: Caller, outlet: Recorder) -> None:
        """`sys.exc_info()` where nothing is handled: it may replace a head that is not sent, as any other."""

        def app(environ: Any, start_response: Start) -> list[bytes]:
            start_response("200 OK", [])
            start_response("404 Not Found", [], (None, None, None))
            return [b"hello"]

        call(app)
        assert outlet.status == "HTTP/1.1 404 Not Found"


def _frames(error: BaseException) -> Iterator[Any]:
    traceback = error.__traceback__
    while traceback is not None:
        yield type("Frame", (), {"name": traceback.tb_frame.f_code.co_name})
        traceback = traceback.tb_next


class TestNoBytes:
    """A str never reaches the transport, and until something is out the client hears a clean 500."""

    @pytest.mark.parametrize("piece", ["text", 1, 1.5, {"a": 1}, bytearray(b"x"), memoryview(b"x"), [b"x"], object()])
    @pytest.mark.parametrize("length", [None, 1, 4])
    def test_first(self, call: Caller, outlet: Recorder, log: Log, length: int | None, piece: object) -> None:
        for kind in (list, tuple, iter):
            for method in ("GET", "HEAD"):
                outlet.__init__()  # type: ignore[misc]
                log.clear()
                fields = [] if length is None else [("Content-Length", str(length))]
                call(lambda environ, start, fields=fields, kind=kind: start("200 OK", fields) and kind([piece]), method)
                assert outlet.status.startswith("HTTP/1.1 500 "), (kind, method)
                assert "must be bytes, not " + type(piece).__name__ in str(log.failures[0])

    @pytest.mark.parametrize("piece", ["text", 1, bytearray(b"x"), memoryview(b"x")])
    @pytest.mark.parametrize("length", [None, 1000])
    def test_later(self, call: Caller, outlet: Recorder, log: Log, length: int | None, piece: object) -> None:
        fields = [] if length is None else [("Content-Length", str(length))]
        call(lambda environ, start: start("200 OK", fields) and iter([b"hello", piece]))
        assert outlet.aborted
        assert isinstance(log.failures[0], AppError)

    @pytest.mark.parametrize("piece", ["text", 1, bytearray(b"x")])
    def test_written(self, call: Caller, outlet: Recorder, log: Log, piece: Any) -> None:
        """The application hears of it, in time to do better."""

        def app(environ: Any, start_response: Start) -> list[bytes]:
            write = start_response("200 OK", [])
            with pytest.raises(AppError, match="must be bytes"):
                write(piece)
            return [b"better"]

        call(app)
        assert outlet.body == b"better"

    @pytest.mark.parametrize("answer", [None, 5, True, b"bytes", "text", object(), len, ["a", "b"], [b"a", "b"]])
    def test_answers_that_are_none(self, call: Caller, outlet: Recorder, answer: object) -> None:
        call(lambda environ, start: start("200 OK", []) and answer)
        assert is_500(outlet)

    def test_kinds_of_bytes(self, call: Caller, outlet: Recorder) -> None:
        class Kind(bytes):
            pass

        call(lambda environ, start: start("200 OK", []) and iter([Kind(b"hello")]))
        assert outlet.body == b"hello"

    def test_a_coroutine(self, call: Caller, outlet: Recorder) -> None:
        async def app(environ: Any, start_response: Start) -> list[bytes]:
            return [b"hello"]

        call(app)
        assert is_500(outlet)


class TestDisconnected:
    def test_in_write(self, call: Caller, outlet: Recorder, log: Log) -> None:
        outlet.leaves_after = 0

        def app(environ: Any, start_response: Start) -> list[bytes]:
            start_response("200 OK", [])(b"hello")
            raise AssertionError("the application was not told")

        assert call(app).over
        assert outlet.aborted
        assert not log

    def test_in_write_and_hushed_up(self, call: Caller, outlet: Recorder) -> None:
        outlet.leaves_after = 0

        def app(environ: Any, start_response: Start) -> list[bytes]:
            write = start_response("200 OK", [])
            for _ in range(3):
                with pytest.raises(Disconnected):
                    write(b"hello")
            return [b"more"]

        call(app)
        assert outlet.aborted

    def test_write_in_close(self, call: Caller, outlet: Recorder, log: Log) -> None:
        """The connection may be somebody else's by then: `Recorder` sees that it is not touched."""
        for leaves_after in (None, 0, 1):
            outlet.__init__()  # type: ignore[misc]
            outlet.leaves_after = leaves_after
            log.clear()

            class Late:
                def __init__(self, write: Callable[[bytes], None]) -> None:
                    self.close = lambda: write(b"HTTP/1.1 200 OK\r\n\r\n")

                def __iter__(self) -> Iterator[bytes]:
                    return iter([b"hello", b"world"])

            call(lambda environ, start: Late(start("200 OK", [])))
            assert "after the end of the response" in str(log.failures[-1])
            assert outlet.wire.count(b"HTTP/1.1") == 1

    def test_write_after_a_500(self, call: Caller, outlet: Recorder, log: Log) -> None:
        class Late:
            def __init__(self, write: Callable[[bytes], None]) -> None:
                self.close = lambda: write(b"late")

            def __iter__(self) -> Iterator[bytes]:
                raise Oops

        call(lambda environ, start: Late(start("200 OK", [])))
        assert is_500(outlet)
        assert [type(failure) for failure in log.failures] == [Oops, AppError]

    def test_raised_by_the_application_itself(self, call: Caller, outlet: Recorder) -> None:
        def app(environ: Any, start_response: Start) -> Iterator[bytes]:
            start_response("200 OK", [("Content-Length", "5")])
            yield b"hello"
            raise Disconnected("of another response")

        call(app)
        assert outlet.content == b"hello"
        assert not outlet.aborted
