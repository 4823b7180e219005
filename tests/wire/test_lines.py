"""`hendrix.wire.lines`: JSON lines, however the bytes are cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from hendrix.errors import PeerError
from hendrix.wire.lines import LineReader, encode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
MESSAGE = st.dictionaries(st.text(), JSON, max_size=4)


@given(messages=st.lists(MESSAGE, max_size=5), step=st.integers(1, 40))
def test_what_is_encoded_is_read_again_however_it_is_cut(messages: list[dict[str, Any]], step: int) -> None:
    data = b"".join(map(encode, messages))
    reader = LineReader()
    assert [message for at in range(0, len(data), step) for message in reader.feed(data[at : at + step])] == messages


def test_a_line_is_ascii_and_holds_no_other_line_feed() -> None:
    assert encode({"a": "é\n\ud800"}) == b'{"a":"\\u00e9\\n\\ud800"}\n'


@pytest.mark.parametrize("value", [float("inf"), float("nan"), object(), b"bytes"])
def test_what_json_cannot_say_is_not_encoded(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        encode({"a": value})


def test_empty_lines_and_carriage_returns_are_no_messages() -> None:
    assert list(LineReader().feed(b'\n\r\n  \n{"a":1}\r\n')) == [{"a": 1}]


BAD = [b"{", b"1", b"[]", b'"text"', b"null", b'{"a":NaN}', b'{"a":Infinity}', b"\xff", b"{'a':1}", b'{"a":1}{"b":2}', b"[" * 100_000]


@pytest.mark.parametrize("line", [*BAD, b'{"a":' + b"9" * 5000 + b"}"], ids=lambda line: repr(line[:20]))
def test_a_line_that_is_no_object_is_named_and_the_ones_around_it_are_read(line: bytes) -> None:
    reader = LineReader()
    messages = reader.feed(encode({"first": 1}) + line + b"\n" + encode({"second": 2}))
    assert next(messages) == {"first": 1}
    with pytest.raises(PeerError, match="not a JSON object") as raised:
        next(messages)
    assert raised.value.status == 400
    assert list(reader.feed(b"")) == [{"second": 2}]


def test_a_line_may_be_as_long_as_the_limit_and_no_longer() -> None:
    line = encode({"a": "x" * 100})
    assert list(LineReader(len(line) - 1).feed(line)) == [{"a": "x" * 100}]
    for data in (line, line[:-1]):  # also before its end has come
        with pytest.raises(PeerError, match=f"longer than {len(line) - 2} bytes") as raised:
            list(LineReader(len(line) - 2).feed(data))
        assert raised.value.status == 413


def test_a_line_that_comes_byte_by_byte_is_searched_once() -> None:
    class Counting(bytearray):
        looked = 0

        def find(self, *args: Any) -> int:
            Counting.looked += len(self) - args[1]
            return super().find(*args)

    reader = LineReader()
    reader._buffer = Counting()
    for byte in json.dumps({"a": "x" * 1000}).encode():
        assert not list(reader.feed(bytes([byte])))
    assert Counting.looked < 2000
