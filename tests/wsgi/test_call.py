"""`hendrix.wsgi.call`: what an application answers and what leaves, rule by rule of PEP 3333. Errors are in test_call_errors.py."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from recording import Caller, Log, Recorder

from hendrix.errors import AppError

Start = Callable[..., Callable[[bytes], None]]
HELLO = [b"hello", b" ", b"world"]
FIELDS = [("Content-Type", "text/plain")]


class Pieces:
    """An iterable that is not a list, notes what is asked of it, and can be closed."""

    def __init__(self, outlet: Recorder, pieces: Iterable[bytes], then: BaseException | None = None) -> None:
        self.outlet, self.pieces, self.then = outlet, iter(pieces), then

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        for piece in self.pieces:
            self.outlet.note(("asked", b""))
            return piece
        self.outlet.note("exhausted")
        if self.then is not None:
            raise self.then
        raise StopIteration

    def close(self) -> None:
        self.outlet.note("closed")


def answering(pieces: Any, length: int | None = None, status: str = "200 OK") -> Callable[[Any, Start], Any]:
    def app(environ: Any, start_response: Start) -> Any:
        start_response(status, FIELDS if length is None else [*FIELDS, ("Content-Length", str(length))])
        return pieces() if callable(pieces) else pieces

    return app


def lazily(pieces: Iterable[bytes], length: int | None = None) -> Callable[[Any, Start], Iterator[bytes]]:
    """A generator: it calls start_response when its first piece is asked for."""

    def app(environ: Any, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", FIELDS if length is None else [*FIELDS, ("Content-Length", str(length))])
        yield from pieces

    return app


def writing(written: Iterable[bytes], returned: Any = (), length: int | None = None) -> Callable[[Any, Start], Any]:
    def app(environ: Any, start_response: Start) -> Any:
        write = start_response("200 OK", FIELDS if length is None else [*FIELDS, ("Content-Length", str(length))])
        for piece in written:
            write(piece)
        return returned

    return app


class TestFraming:
    """PEP 3333, "Handling the Content-Length Header"."""

    @pytest.mark.parametrize("pieces", [[b"hello world"], (b"hello world",), HELLO, tuple(HELLO), [b"", b"hello world", b""]])
    def test_a_list_is_of_known_length(self, call: Caller, outlet: Recorder, pieces: Any) -> None:
        """And leaves in one go."""
        result = call(answering(pieces))
        assert outlet.fields == {"Content-Type": "text/plain", "Content-Length": "11"}
        assert outlet.content == b"hello world"
        assert len(result.events) == 1
        assert (result.over, result.code, result.sent, outlet.keep_alive) == (True, "200", 11, True)

    @pytest.mark.parametrize("pieces", [[], (), [b""], [b"", b""], iter([]), iter([b"", b""]), b"", "", {}, range(0)])
    def test_nothing_is_of_length_0(self, call: Caller, outlet: Recorder, pieces: Any) -> None:
        result = call(answering(pieces))
        assert outlet.fields["Content-Length"] == "0"
        assert outlet.content == b""
        assert len(result.events) == 1
        assert result.sent == 0

    def test_one_of_a_sequence_is_of_known_length(self, call: Caller, outlet: Recorder) -> None:
        """PEP 3333: ``len(iterable) == 1``. Django's and others' responses are of that kind."""

        class Response:
            def __len__(self) -> int:
                return 1

            def __iter__(self) -> Iterator[bytes]:
                yield b"hello"

        call(answering(Response()))
        assert outlet.fields["Content-Length"] == "5"

    def test_chunks(self, call: Caller, outlet: Recorder) -> None:
        result = call(lazily([b"", *HELLO, b""]))
        assert outlet.fields == {"Content-Type": "text/plain", "Transfer-Encoding": "chunked"}
        assert outlet.content == b"5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n"
        assert (result.sent, outlet.keep_alive) == (11, True)

    def test_one_piece_of_a_generator_is_of_unknown_length(self, call: Caller, outlet: Recorder) -> None:
        call(lazily([b"hello"]))
        assert outlet.content == b"5\r\nhello\r\n0\r\n\r\n"

    def test_http_1_0_ends_with_the_connection(self, call: Caller, outlet: Recorder) -> None:
        call(lazily(HELLO), http10=True)
        assert outlet.fields == {"Content-Type": "text/plain", "Connection": "close"}
        assert outlet.content == b"hello world"
        assert not outlet.keep_alive

    @pytest.mark.parametrize(
        "app",
        [
            answering(HELLO, 11),
            lazily(HELLO, 11),
            lazily([b"hello world"], 11),
            writing(HELLO, [], 11),
            writing([b"hello"], [b" ", b"world"], 11),
        ],
    )
    @pytest.mark.parametrize("http10", [False, True])
    def test_content_length(self, call: Caller, outlet: Recorder, app: Any, http10: bool) -> None:
        result = call(app, http10=http10)
        assert outlet.fields["Content-Length"] == "11"
        assert outlet.content == b"hello world"
        assert (result.sent, outlet.keep_alive, outlet.aborted) == (11, True, False)

    @pytest.mark.parametrize("app", [answering([b"", b""], 0), lazily([b"", b""], 0), writing([b""], [b""], 0)])
    def test_content_length_of_0(self, call: Caller, outlet: Recorder, app: Any) -> None:
        call(app)
        assert outlet.fields["Content-Length"] == "0"
        assert outlet.content == b""
        assert outlet.keep_alive


class TestLonger:
    """What is beyond Content-Length is cut, and logged; the connection lives on."""

    APPS = {
        "list": answering(HELLO, 7),
        "one": answering([b"hello world"], 7),
        "generator": lazily(HELLO, 7),
        "a piece more": lazily([b"hello w", b"orld"], 7),
        "two pieces more": lazily([b"hello", b" w", b"orl", b"d"], 7),
        "write": writing(HELLO, [], 7),
        "write and list": writing([b"hello"], [b" world"], 7),
        "write of it all and list": writing([b"hello w"], [b"orld"], 7),
    }

    @pytest.mark.parametrize("app", APPS.values(), ids=APPS.keys())
    def test_is_cut(self, call: Caller, outlet: Recorder, log: Log, app: Any) -> None:
        result = call(app, target="/cut")
        assert outlet.fields["Content-Length"] == "7"
        assert outlet.content == b"hello w"
        assert (result.sent, outlet.keep_alive, outlet.aborted) == (7, True, False)
        assert log.lines == ["GET /cut raised AppError"]
        assert "longer than its Content-Length of 7" in str(log.failures[0])

    @pytest.mark.parametrize("app", [answering(HELLO, 0), lazily(HELLO, 0), writing(HELLO, [], 0)])
    def test_of_nothing(self, call: Caller, outlet: Recorder, log: Log, app: Any) -> None:
        call(app)
        assert outlet.content == b""
        assert outlet.keep_alive
        assert log.lines

    def test_iteration_stops(self, call: Caller, outlet: Recorder) -> None:
        """PEP 3333: "should stop iterating over the response when enough data has been sent"."""
        call(lazily(itertools.repeat(b"hello"), 7))
        assert outlet.content == b"hellohe"
        assert outlet.keep_alive

    def test_write_raises(self, call: Caller, outlet: Recorder) -> None:
        """PEP 3333: "or raise an error if the application tries to write() past that point"."""

        def app(environ: Any, start_response: Start) -> list[bytes]:
            write = start_response("200 OK", [("Content-Length", "7")])
            write(b"hello")
            for piece in (b" world", b"!"):
                with pytest.raises(AppError):
                    write(piece)
            return []

        call(app)
        assert outlet.content == b"hello w"
        assert outlet.keep_alive


class TestShorter:
    """The client must not take it for complete, nor wait for the rest."""

    APPS = {
        "list": answering(HELLO, 12),
        "nothing": answering([], 12),
        "generator": lazily(HELLO, 12),
        "nothing of a generator": lazily([b"", b""], 12),
        "write": writing(HELLO, [], 12),
        "write and list": writing([b"hello"], [b" world"], 12),
    }

    @pytest.mark.parametrize("app", APPS.values(), ids=APPS.keys())
    def test_breaks_the_connection(self, call: Caller, outlet: Recorder, log: Log, app: Any) -> None:
        result = call(app, target="/short")
        assert outlet.fields["Content-Length"] == "12"
        assert outlet.content in (b"hello world", b"")
        assert outlet.aborted
        assert result.over
        assert result.sent == len(outlet.content)
        assert log.lines == ["GET /short raised AppError"]
        assert f"ended {12 - result.sent} bytes short of its Content-Length" in str(log.failures[0])


class TestWithoutContent:
    """HEAD, 204, 205 and 304: no content leaves, whatever the application gives."""

    APPS = {
        "list": answering(HELLO),
        "list with length": answering(HELLO, 11),
        "generator": lazily(HELLO),
        "generator with length": lazily(HELLO, 11),
        "write": writing(HELLO),
        "write with length": writing(HELLO, [b"!"], 12),
        "short": answering([], 11),
        "short generator": lazily([], 11),
        "long": answering(HELLO, 1),
    }

    @pytest.mark.parametrize("app", APPS.values(), ids=APPS.keys())
    @pytest.mark.parametrize("http10", [False, True])
    def test_head(self, call: Caller, outlet: Recorder, app: Any, http10: bool) -> None:
        result = call(app, "HEAD", http10=http10)
        assert outlet.content == b""
        assert "Transfer-Encoding" not in outlet.fields
        assert (outlet.aborted, outlet.keep_alive, result.sent) == (False, True, 0)

    def test_head_has_the_length_of_get(self, call: Caller, outlet: Recorder) -> None:
        call(answering(HELLO), "HEAD")
        assert outlet.fields["Content-Length"] == "11"

    @pytest.mark.parametrize("pieces", [[], [b""], iter([b""])])
    def test_head_without_content_is_of_unknown_length(self, call: Caller, outlet: Recorder, pieces: Any) -> None:
        """Frameworks leave the content out; RFC 9110 section 8.6 forbids a Content-Length that GET would not have."""
        call(answering(pieces), "HEAD")
        assert "Content-Length" not in outlet.fields

    def test_head_does_not_make_the_content(self, call: Caller, outlet: Recorder) -> None:
        result = call(lambda environ, start: start("200 OK", []) and Pieces(outlet, HELLO), "HEAD")
        assert result.events.count(("asked", b"")) == 1
        assert result.events[-1] == "closed"

    @pytest.mark.parametrize("status", ["204 No Content", "205 Reset Content", "304 Not Modified"])
    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
    @pytest.mark.parametrize("app", APPS.values(), ids=APPS.keys())
    def test_statuses(self, call: Caller, outlet: Recorder, app: Any, method: str, status: str) -> None:
        def with_status(environ: Any, start_response: Start) -> Any:
            return app(environ, lambda _, fields: start_response(status, fields))

        result = call(with_status, method)
        assert outlet.status == f"HTTP/1.1 {status}"
        assert outlet.content == b""
        assert "Transfer-Encoding" not in outlet.fields
        assert (outlet.aborted, outlet.keep_alive, result.sent) == (False, True, 0)


class TestOrder:
    """PEP 3333, "Buffering and Streaming": a piece is handed over before the next is asked for; the head waits for the first."""

    def test_pieces_leave_one_by_one(self, call: Caller, outlet: Recorder) -> None:
        call(lambda environ, start: start("200 OK", []) and Pieces(outlet, HELLO))
        kinds = [event if type(event) is str else event[0] for event in outlet.events]
        assert kinds == ["asked", "stream", "stream", "asked", "stream", "asked", "stream", "exhausted", "finish", "closed"]

    @pytest.mark.parametrize("pieces", [[b"hello world"], [b"", b"hello world"], HELLO])
    def test_the_last_piece_does_not_wait_for_the_end(self, call: Caller, outlet: Recorder, pieces: list[bytes]) -> None:
        """An application may go on working when the client has what it waits for."""
        call(lambda environ, start: start("200 OK", [("Content-Length", "11")]) and Pieces(outlet, pieces))
        end = outlet.events.index("exhausted")
        assert b"".join(event[1] for event in outlet.events[:end]).endswith(b"hello world")
        assert outlet.events[-1] == "closed"

    def test_the_client_is_done_with_when_it_has_all(self, call: Caller, outlet: Recorder) -> None:
        """Its next request must not wait for what the application does after the last byte."""
        call(lambda environ, start: start("200 OK", [("Content-Length", "11")]) and Pieces(outlet, HELLO))
        kinds = [event if type(event) is str else event[0] for event in outlet.events]
        assert kinds[-3:] == ["finish", "exhausted", "closed"]

    def test_write_leaves_at_once(self, call: Caller, outlet: Recorder) -> None:
        def app(environ: Any, start_response: Start) -> list[bytes]:
            write = start_response("200 OK", FIELDS)
            outlet.note(("started", b""))
            write(b"")
            assert outlet.wire == b"", "the head left before the content"
            write(b"hello")
            assert outlet.body_so_far() == b"5\r\nhello\r\n"
            write(b" ")
            assert outlet.body_so_far() == b"5\r\nhello\r\n1\r\n \r\n"
            return [b"world"]

        call(app)
        assert outlet.body == b"hello world"

    def test_start_response_sends_nothing(self, call: Caller, outlet: Recorder) -> None:
        def app(environ: Any, start_response: Start) -> Iterator[bytes]:
            start_response("200 OK", FIELDS)
            yield b""
            assert not outlet.events
            yield b""
            assert not outlet.events
            yield b"x"
            assert outlet.body_so_far() == b"1\r\nx\r\n"

        call(app)
        assert outlet.body == b"x"
        assert not outlet.aborted

    @pytest.mark.parametrize("written", [[b""], [b"", b""], []])
    def test_writing_nothing(self, call: Caller, outlet: Recorder, written: list[bytes]) -> None:
        call(writing(written, HELLO))
        assert outlet.fields["Content-Length"] == "11"

    @pytest.mark.parametrize("pieces", [[], HELLO, [b"", b"hello world"], [b"", b""]])
    @pytest.mark.parametrize("kind", [list, tuple, iter])
    def test_write_and_iterable(self, call: Caller, outlet: Recorder, kind: Callable[[Any], Any], pieces: list[bytes]) -> None:
        call(writing([b"fir", b"st"], kind(pieces)))
        assert outlet.body == b"first" + b"".join(pieces)
        assert outlet.keep_alive

    def test_write_within_the_iterable(self, call: Caller, outlet: Recorder) -> None:
        """PEP 3333 forbids it; what comes, comes in order."""

        def app(environ: Any, start_response: Start) -> Iterator[bytes]:
            write = start_response("200 OK", FIELDS)
            write(b"1")
            yield b"2"
            write(b"3")
            yield b"4"

        call(app)
        assert outlet.body == b"1234"


class TestClose:
    """PEP 3333: ``close()`` is called once, "whether the request completes normally, or terminates early"."""

    def closes(self, outlet: Recorder) -> int:
        return sum(event == "closed" for event in outlet.events)

    @pytest.mark.parametrize("length", [None, 5, 11, 20])
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_after_the_last_byte(self, call: Caller, outlet: Recorder, length: int | None, method: str) -> None:
        fields = [] if length is None else [("Content-Length", str(length))]
        call(lambda environ, start: start("200 OK", fields) and Pieces(outlet, HELLO), method)
        assert outlet.events[-1] == "closed"
        assert self.closes(outlet) == 1

    @pytest.mark.parametrize("kind", [list, tuple])
    def test_of_kinds_of_list(self, call: Caller, outlet: Recorder, kind: type) -> None:
        class Closing(kind):  # type: ignore[misc]
            def close(self) -> None:
                outlet.note("closed")

        call(answering(Closing(HELLO)))
        assert outlet.body == b"hello world"
        assert outlet.events[-1] == "closed"
        assert self.closes(outlet) == 1

    def test_when_iteration_raises(self, call: Caller, outlet: Recorder) -> None:
        for sent in range(4):
            outlet.__init__()  # type: ignore[misc]
            call(lambda environ, start, sent=sent: start("200 OK", []) and Pieces(outlet, HELLO[:sent], ValueError()))
            assert outlet.events[-1] == "closed"
            assert self.closes(outlet) == 1

    def test_when_start_response_was_not_called(self, call: Caller, outlet: Recorder) -> None:
        call(lambda environ, start: Pieces(outlet, HELLO))
        assert outlet.status == "HTTP/1.1 500 Internal Server Error"
        assert self.closes(outlet) == 1

    @pytest.mark.parametrize("after", range(5))
    def test_when_the_client_leaves(self, call: Caller, outlet: Recorder, log: Log, after: int) -> None:
        """Nobody's fault: nothing is logged."""
        outlet.leaves_after = after
        result = call(lambda environ, start: start("200 OK", []) and Pieces(outlet, HELLO * 3))
        assert outlet.events[-2:] == ["abort", "closed"]
        assert self.closes(outlet) == 1
        assert result.over
        assert not log

    def test_that_raises(self, call: Caller, outlet: Recorder, log: Log) -> None:
        for error in (ValueError("in close"), SystemExit(3), KeyboardInterrupt()):
            outlet.__init__()  # type: ignore[misc]

            class Raising(Pieces):
                def close(self, error: BaseException = error) -> None:
                    super().close()
                    raise error

            result = call(lambda environ, start: start("200 OK", []) and Raising(outlet, HELLO), target="/closing")
            assert outlet.body == b"hello world"
            assert (self.closes(outlet), result.over, outlet.keep_alive) == (1, True, True)
            assert log.failures[-1] is error
            assert "GET /closing" in log.lines[-1]

    def test_that_raises_after_iteration_did(self, call: Caller, outlet: Recorder, log: Log) -> None:
        class Raising(Pieces):
            def close(self) -> None:
                super().close()
                raise ValueError("second")

        call(lambda environ, start: start("200 OK", []) and Raising(outlet, [], ValueError("first")))
        assert outlet.status.startswith("HTTP/1.1 500 ")
        assert [str(failure) for failure in log.failures] == ["first", "second"]

    def test_that_cannot_be_looked_up(self, call: Caller, outlet: Recorder, log: Log) -> None:
        class Odd:
            def __iter__(self) -> Iterator[bytes]:
                return iter(HELLO)

            @property
            def close(self) -> None:
                raise ValueError("no close")

        call(answering(Odd()))
        assert outlet.body == b"hello world"
        assert str(log.failures[0]) == "no close"

    def test_of_a_generator_that_is_not_at_its_end(self, call: Caller, outlet: Recorder) -> None:
        def app(environ: Any, start_response: Start) -> Iterator[bytes]:
            start_response("200 OK", [("Content-Length", "5")])
            try:
                yield b"hello"
                yield b" world"
                raise AssertionError("asked for more than is announced, again and again")
            finally:
                outlet.note("closed")

        call(app)
        assert outlet.content == b"hello"
        assert self.closes(outlet) == 1


class TestConnection:
    @pytest.mark.parametrize("app", [answering(HELLO), lazily(HELLO), writing(HELLO)])
    def test_persists(self, call: Caller, outlet: Recorder, app: Any) -> None:
        call(app)
        assert outlet.keep_alive
        assert "Connection" not in outlet.fields

    @pytest.mark.parametrize("app", [answering(HELLO), lazily(HELLO), writing(HELLO)])
    @pytest.mark.parametrize("who", ["client", "draining", "application"])
    def test_ends(self, call: Caller, outlet: Recorder, app: Any, who: str) -> None:
        def closing(environ: Any, start_response: Start) -> Any:
            return app(environ, lambda status, fields: start_response(status, [*fields, ("Connection", "close")]))

        outlet.draining = who == "draining"
        call(closing if who == "application" else app, keep_alive=who != "client")
        assert outlet.fields["Connection"] == "close"
        assert not outlet.keep_alive

    def test_what_finish_returns_is_returned(self, call: Caller, outlet: Recorder) -> None:
        """The worker goes on with the next request of the connection, or must not touch it any more."""
        for over in (True, False):
            outlet.__init__()  # type: ignore[misc]
            outlet.over = over
            assert call(answering(HELLO)).over is over
