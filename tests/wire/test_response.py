"""`hendrix.wire.response`: what an application may say, how its content is framed, and what is remembered."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any

import pytest
from hypothesis import given, strategies as st

from hendrix.errors import AppError, PeerError
from hendrix.wire import response
from hendrix.wire.response import Head, Stamp, chunk, compose, plain, refusal

CONTROLS = [chr(code) for code in (*range(0x20), 0x7F) if chr(code) != "\t"]
TOKEN = set("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
STAMP = Stamp("hendrix")


class Text(str):
    """What a template engine marks as safe: a str that is more than a str."""

    def __str__(self) -> str:
        return "not the text"

    def __format__(self, specification: str) -> str:
        return "not the text\r\nX-Evil: 1"

    def __add__(self, other: object) -> str:
        return "not the text"


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(response, "_heads", {})
    monkeypatch.setattr(response, "_kinds", {})
    yield
    assert len(response._heads) <= response.HEADS
    assert len(response._kinds) <= response.TABLE_SIZE


def state(made: Head) -> dict[str, object]:
    return {name: getattr(made, name) for name in Head.__slots__}


def head(
    status: str = "200 OK",
    fields: Sequence[tuple[str, str]] = (),
    size: int | None = None,
    *,
    http10: bool = False,
    keep_alive: bool = True,
    bare: bool = False,
) -> Head:
    """A head made twice, anew and as it is remembered: both must be the same."""
    first = compose(status, fields, size, http10, keep_alive, bare)
    second = compose(status, fields, size, http10, keep_alive, bare)
    assert state(first) == state(second)
    return first


def lines(made: Head) -> list[str]:
    """The field lines, without those of the stamp."""
    text = made.start.decode("latin-1")
    assert text.endswith("\r\n")
    return text.split("\r\n")[1:-1]


def whole(made: Head, stamp: Stamp = STAMP) -> dict[str, str]:
    """The fields as a client sees them."""
    data = stamp.finish(made)
    assert data.endswith(b"\r\n\r\n")
    assert data.count(b"\r\n\r\n") == 1
    pairs = [line.split(": ", 1) for line in data.decode("latin-1").split("\r\n")[1:-2]]
    assert len({name.lower() for name, _ in pairs}) == len(pairs), f"a field is there twice: {pairs}"
    return dict(pairs)


def refuses(status: Any = "200 OK", fields: Any = ()) -> str:
    """Refused each time; nothing of it is remembered."""
    for _ in range(2):
        with pytest.raises(AppError) as caught:
            compose(status, fields, None, False, True, False)
    assert not response._heads
    return str(caught.value)


class TestStatus:
    @pytest.mark.parametrize(
        ("status", "line"),
        [
            ("200 OK", "HTTP/1.1 200 OK"),
            ("200 ", "HTTP/1.1 200 "),
            ("200", "HTTP/1.1 200 "),  # RFC 9112 section 4: the space is not optional
            ("999 \xe9\t(!)", "HTTP/1.1 999 \xe9\t(!)"),
            ("299 200 OK", "HTTP/1.1 299 200 OK"),
        ],
    )
    def test_stands_as_it_is(self, status: str, line: str) -> None:
        made = head(status)
        assert made.start.decode("latin-1").split("\r\n")[0] == line
        assert made.code == status[:3]

    @pytest.mark.parametrize(
        "status",
        [
            "",
            "OK",
            "20",
            "20 OK",
            "2000 OK",
            "200OK",
            " 200 OK",
            "200\tOK",
            "099 X",
            "100 Continue",
            "101 Upgrade",
            "-20 OK",
            "\u0662\u0660\u0660 OK",
        ],
    )
    def test_not_three_digits_and_a_reason(self, status: str) -> None:
        assert repr(status) in refuses(status)

    @pytest.mark.parametrize("character", [*CONTROLS, "\u0100", "\u20ac", "\u2028", "\ud800"])
    def test_characters_refused(self, character: str) -> None:
        for status in (f"200 {character}", f"200 O{character}K", f"200{character}", f"{character}200 OK"):
            refuses(status)

    @pytest.mark.parametrize("status", [b"200 OK", 200, None, ("200", "OK"), 2.0])
    def test_not_text(self, status: object) -> None:
        refuses(status)

    def test_kind_of_text(self) -> None:
        assert head(Text("200 OK")).start == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"


class TestFields:
    def test_stand_in_order_and_case_repeated_too(self) -> None:
        fields = [("X-b", "1"), ("set-cookie", "a=b"), ("Set-Cookie", "c=d"), ("X-b", ""), ("X-A", " \t spaces stay \t ")]
        assert lines(head(fields=fields, size=0)) == [f"{name}: {value}" for name, value in fields] + ["Content-Length: 0"]

    def test_each_character_of_a_name(self) -> None:
        for character in map(chr, range(0x100)):
            for name in (character, f"X{character}", f"{character}X"):
                if character in TOKEN:
                    assert f"{name}: v" in lines(head(fields=[(name, "v")]))
                    response._heads.clear()
                else:
                    assert repr(name) in refuses(fields=[("X-Other", ""), (name, "v")])

    def test_each_character_of_a_value(self) -> None:
        for character in map(chr, range(0x100)):
            for value in (character, f"a{character}", f"{character}b", f"a{character}b"):
                if character in CONTROLS:
                    assert "X-Name" in refuses(fields=[("X-Name", value)])
                else:
                    assert f"X-Name: {value}" in lines(head(fields=[("X-Name", value)]))
                    response._heads.clear()

    @pytest.mark.parametrize("character", ["\u0100", "\u20ac", "\u2028", "\uff1a", "\U0001f600", "\ud800", "\ufeff"])
    def test_no_latin_1(self, character: str) -> None:
        refuses(fields=[("X-Name", f"a{character}b")])
        refuses(fields=[(f"X{character}", "a")])
        refuses(fields=[("Content-Length", f"1{character}")])

    @pytest.mark.parametrize(
        "line", ["a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\rX-Evil: 1", "a\r\n\r\nHTTP/1.1 200 OK", "a\r\n folded", "\r\n", "\n", "a\0"]
    )
    @pytest.mark.parametrize("name", ["X-Name", "Date", "Server", "Connection", "Content-Length", "Transfer-Encoding", "Upgrade"])
    def test_no_response_splitting(self, line: str, name: str) -> None:
        """Refused in fields that are dropped, too: who wrote it must hear of it."""
        refuses(fields=[(name, line)])
        refuses(fields=[(line, "v")])
        refuses(status=f"200 {line}")

    @pytest.mark.parametrize(
        "pair", [(b"X-Name", "v"), ("X-Name", b"v"), ("X-Name", None), ("X-Name", 1), (None, "v"), (1, "v"), (["X"], "v"), ("X", ["v"])]
    )
    def test_not_text(self, pair: tuple[object, object]) -> None:
        refuses(fields=[pair])
        compose("200 OK", [("X-Name", "v")], None, False, True, False)
        response._heads.clear()
        refuses(fields=[pair])  # the name is known by now

    def test_kind_of_text(self) -> None:
        """The characters that were checked are those that are sent, whatever the class makes of them."""
        for _ in range(2):
            assert lines(head(fields=[(Text("X-Name"), Text("v")), (Text("Content-Length"), Text("3"))])) == [
                "X-Name: v",
                "Content-Length: 3",
            ]
        response._heads.clear()
        refuses(fields=[(Text("X-Name"), Text("a\r\nb"))])

    def test_enumerations(self) -> None:
        """A str, but not one that is written as itself."""

        class Name(str, Enum):
            TYPE = "Content-Type"
            TEXT = "text/plain"

        for _ in range(2):
            assert lines(head(fields=[(Name.TYPE, Name.TEXT)], size=0)) == ["Content-Type: text/plain", "Content-Length: 0"]
            compose("200 OK", [("Content-Type", "text/plain")], 0, False, True, False)

    @pytest.mark.parametrize("name", ["Transfer-Encoding", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Upgrade"])
    @pytest.mark.parametrize("change", [str, str.lower, str.upper, str.title])
    def test_of_one_connection_are_dropped(self, name: str, change: Any) -> None:
        """PEP 3333 forbids an application these; RFC 9110 section 7.6.1."""
        assert lines(head(fields=[(change(name), "chunked"), ("X-Kept", "1")], size=3)) == ["X-Kept: 1", "Content-Length: 3"]

    @pytest.mark.parametrize("value", ["close", "Close", "CLOSE", "keep-alive, close", "close, X-Name"])
    def test_connection_close_is_honoured(self, value: str) -> None:
        for name in ("Connection", "connection"):
            made = head(fields=[(name, value)], size=0)
            assert not made.keep_alive
            assert lines(made) == ["Content-Length: 0", "Connection: close"]

    @pytest.mark.parametrize("value", ["keep-alive", "Upgrade", "X-Name", ""])
    def test_other_options_of_connection_are_dropped(self, value: str) -> None:
        made = head(fields=[("Connection", value)], size=0)
        assert made.keep_alive
        assert lines(made) == ["Content-Length: 0"]

    def test_connection_cannot_be_made_to_live(self) -> None:
        assert not head(fields=[("Connection", "keep-alive")], keep_alive=False).keep_alive

    def test_fields_in_lists(self) -> None:
        fields: Any = [["X-A", "1"], ["X-B", "2"]]
        assert lines(head(fields=fields, size=0)) == ["X-A: 1", "X-B: 2", "Content-Length: 0"]
        assert not response._heads


class TestContentLength:
    @pytest.mark.parametrize("value", ["0", "1", "007", "9" * 18])
    def test_of_the_application(self, value: str) -> None:
        for name in ("Content-Length", "content-length", "CONTENT-LENGTH"):
            made = head(fields=[(name, value)], size=12)
            assert made.length == int(value)
            assert lines(made) == [f"Content-Length: {int(value)}"]

    @pytest.mark.parametrize(
        "value", ["", " ", " 1", "1 ", "+1", "-1", "1.0", "1,1", "1, 1", "0x1", "1_0", "a", "\u0661", "\xb2", "9" * 5000]
    )
    def test_no_number(self, value: str) -> None:
        refuses(fields=[("Content-Length", value)])

    def test_twice(self) -> None:
        assert lines(head(fields=[("Content-Length", "5"), ("content-length", "5")])) == ["Content-Length: 5"]
        response._heads.clear()
        refuses(fields=[("Content-Length", "5"), ("Content-Length", "6")])


Framing = tuple[int | None, bool, bool, bool]


def framing(code: str, bare: bool, http10: bool, keep_alive: bool, length: int | None, size: int | None) -> Framing:
    """RFC 9112 section 6.3 and RFC 9110 section 8.6: Content-Length, chunked, whether content follows, whether the connection lives."""
    known = length if length is not None else size
    if code == "204":
        return None, False, False, keep_alive
    if code == "304":
        return length, False, False, keep_alive
    if code == "205":
        return 0, False, False, keep_alive
    if known is not None:
        return known, False, not bare, keep_alive
    if bare:
        return None, False, False, keep_alive
    return None, not http10, True, keep_alive and not http10


class TestFraming:
    @pytest.mark.parametrize(
        "code", ["200", "201", "203", "204", "205", "206", "299", "301", "302", "304", "399", "400", "404", "499", "500", "599", "999"]
    )
    @pytest.mark.parametrize("bare", [False, True])
    @pytest.mark.parametrize("http10", [False, True])
    def test_table(self, code: str, bare: bool, http10: bool) -> None:
        for keep_alive, length, size in itertools.product((True, False), (None, 0, 7), (None, 0, 5)):
            fields = [] if length is None else [("Content-Length", str(length))]
            made = head(f"{code} X", fields, size, http10=http10, keep_alive=keep_alive, bare=bare)
            announced, chunked, content, lives = framing(code, bare, http10, keep_alive, length, size)
            seen = whole(made)
            case = (code, bare, http10, keep_alive, length, size)
            assert seen.get("Content-Length") == (None if announced is None else str(announced)), case
            assert seen.get("Transfer-Encoding") == ("chunked" if chunked else None), case
            assert (made.chunked, made.bare, made.keep_alive) == (chunked, not content, lives), case
            assert seen.get("Connection") == (("keep-alive" if http10 else None) if lives else "close"), case
            if content:
                assert made.length == announced, case

    def test_chunk(self) -> None:
        assert chunk(b"a") == b"1\r\na\r\n"
        assert chunk(b"\r\n" * 100) == b"c8\r\n" + b"\r\n" * 100 + b"\r\n"
        assert response.LAST_CHUNK == b"0\r\n\r\n"
        assert response.CONTINUE == b"HTTP/1.1 100 Continue\r\n\r\n"


class TestStamp:
    def test_date_and_server(self) -> None:
        before = int(time.time())
        seen = whole(head(size=0))
        assert seen["Server"] == "hendrix"
        assert before <= parsedate_to_datetime(seen["Date"]).timestamp() <= time.time()
        assert seen["Date"].endswith(" GMT")

    def test_no_server(self) -> None:
        assert "Server" not in whole(head(size=0), Stamp(""))

    @pytest.mark.parametrize("name", ["Date", "date", "DATE"])
    def test_the_date_of_the_application_stands(self, name: str) -> None:
        assert whole(head(fields=[(name, "yesterday")], size=0)) == {name: "yesterday", "Content-Length": "0", "Server": "hendrix"}

    @pytest.mark.parametrize("name", ["Server", "server", "SERVER"])
    def test_the_server_of_the_application_stands(self, name: str) -> None:
        for stamp in (STAMP, Stamp("")):
            seen = whole(head(fields=[(name, "mine")], size=0), stamp)
            assert seen.pop("Date")
            assert seen == {name: "mine", "Content-Length": "0"}

    def test_both(self) -> None:
        assert whole(head(fields=[("Date", "d"), ("Server", "s")], size=0)) == {"Date": "d", "Server": "s", "Content-Length": "0"}

    def test_the_clock_goes_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A remembered head has a new date in each second, and stands still within one."""
        made = head(size=0)
        dates = []
        for now in (0.0, 0.5, 0.999, 1.0, 86400.0):
            monkeypatch.setattr(response, "time", lambda now=now: now)
            dates.append(whole(made)["Date"])
        assert dates == ["Thu, 01 Jan 1970 00:00:00 GMT"] * 3 + ["Thu, 01 Jan 1970 00:00:01 GMT", "Fri, 02 Jan 1970 00:00:00 GMT"]


class TestMemory:
    """`compose` remembers heads, and gives nobody another's."""

    def test_each_argument_counts(self) -> None:
        arguments = itertools.product(
            ("200 OK", "200 Ok", "404 OK"),
            ((), (("X-A", "1"),), (("X-A", "2"),), (("x-a", "1"),), (("X-A", "1"), ("X-A", "1"))),
            (None, 0, 1),
            *[(True, False)] * 3,
        )
        for case in arguments:
            assert state(compose(*case)) == state(Head(*case)), case  # type: ignore[arg-type]

    def test_fields_that_can_be_read_once(self) -> None:
        """Not a list, as PEP 3333 wants, but it must not make others lose their fields."""
        fields = (("X-A", "1"), ("X-B", "2"))
        for once in (iter(fields), (pair for pair in fields), iter(fields)):
            assert lines(compose("200 OK", once, 0, False, True, False)) == ["X-A: 1", "X-B: 2", "Content-Length: 0"]  # type: ignore[arg-type]
        assert lines(head(fields=list(fields), size=0)) == ["X-A: 1", "X-B: 2", "Content-Length: 0"]

    def test_a_list_that_changes(self) -> None:
        fields = [("X-A", "1")]
        first = head(fields=fields)
        fields.append(("X-B", "2"))
        assert first is not head(fields=fields)
        assert "X-B: 2" in lines(head(fields=fields))
        assert "X-B: 2" not in lines(first)

    def test_equal_is_not_the_same(self) -> None:
        """What only equals a str is no str, remembered or not."""

        class Chameleon:
            def __init__(self, text: str) -> None:
                self.text = text

            def __eq__(self, other: object) -> bool:
                return self.text == other

            def __hash__(self) -> int:
                return hash(self.text)

            def __str__(self) -> str:
                return "a\r\nX-Evil: 1"

        plain_head = head("200 OK", [("X-A", "1")])
        fakes: Any = [("X-A", Chameleon("1"))]
        try:
            assert compose("200 OK", fakes, None, False, True, False).start == plain_head.start
        except AppError:
            pass
        response._heads.clear()
        refuses(fields=fakes)
        refuses(status=Chameleon("200 OK"))

    def test_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(response, "HEADS", 10)
        monkeypatch.setattr(response, "TABLE_SIZE", 10)
        for number in range(100):
            made = compose("200 OK", [(f"X-{number}", str(number))], number, False, True, False)
            assert lines(made) == [f"X-{number}: {number}", f"Content-Length: {number}"]
            assert len(response._heads) <= 10
            assert len(response._kinds) <= 10
        assert response._heads, "nothing is remembered any more"

    def test_large_heads_are_not_kept(self) -> None:
        """The number of heads is bounded; so must be their size, which may be that of a cookie."""
        for number in range(50):
            assert len(compose("200 OK", [("Set-Cookie", f"{number:d}" * 50_000)], 0, False, True, False).start) > 50_000
        assert sum(len(made.start) for made in response._heads.values()) < 50_000


class TestWholeAnswers:
    def test_refusal(self) -> None:
        data = refusal(PeerError(431, "too many"), STAMP)
        top, _, content = data.partition(b"\r\n\r\n")
        assert content == b"431 Request Header Fields Too Large: too many\n"
        assert top.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain; charset=utf-8\r\n")
        assert f"Content-Length: {len(content)}\r\nConnection: close\r\n".encode() in top

    @pytest.mark.parametrize("status", [400, 408, 413, 414, 417, 431, 501, 503, 505])
    def test_each_status(self, status: int) -> None:
        assert refusal(PeerError(status, "why"), STAMP).startswith(f"HTTP/1.1 {status} ".encode())

    def test_bare(self) -> None:
        data = refusal(PeerError(400, "why"), STAMP, bare=True)
        assert data.endswith(b"\r\n\r\n")
        assert b"Content-Length: 21\r\n" in data

    def test_more_fields(self) -> None:
        assert b"Retry-After: 1\r\n" in refusal(PeerError(503, "why"), STAMP, (("Retry-After", "1"),))

    def test_plain(self) -> None:
        data = plain("500 Internal Server Error", "", STAMP, keep_alive=True)
        assert data.endswith(b"\r\n\r\n500 Internal Server Error\n")
        assert b"Connection:" not in data
        assert b"Connection: close\r\n" in plain("500 Internal Server Error", "", STAMP, keep_alive=False)


TEXT = st.text(st.characters(max_codepoint=0x2FF), max_size=8)


@given(status=st.one_of(st.just("200 OK"), TEXT.map(lambda text: "200 " + text), TEXT), fields=st.lists(st.tuples(TEXT, TEXT), max_size=4))
def test_anything(status: str, fields: list[tuple[str, str]]) -> None:
    """Whatever an application says, each line is one that it said, or it is refused."""
    try:
        made = compose(status, fields, None, False, True, False)
    except AppError:
        return
    data = STAMP.finish(made)
    said = {f"{name}: {value}" for name, value in fields}
    top, *rest = data.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    assert top in (f"HTTP/1.1 {status}", f"HTTP/1.1 {status} ")
    assert not any(character in line for line in (top, *rest) for character in CONTROLS)
    ours = ("Date: ", "Server: hendrix", "Transfer-Encoding: chunked", "Connection: close")
    assert all(line in said or line.startswith(ours) for line in rest), rest
