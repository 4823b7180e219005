"""`hendrix.wire.http1`: whatever comes, in whatever pieces."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given
from mutants import SEEDS, check, mutants, valid_requests
from reading import accepts, cut, read


@st.composite
def cut_anywhere(draw: st.DrawFn, data: bytes) -> list[bytes]:
    return cut(data, draw(st.lists(st.integers(0, len(data)), max_size=20)))


@given(requests=st.lists(valid_requests(), min_size=1, max_size=6), data=st.data())
def test_any_cut_of_valid_requests_gives_the_same(requests: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(requests)
    whole = read([stream])
    assert (len(whole.requests), whole.status, whole.parser.stage) == (len(requests), None, 0)
    assert whole.requests == [read([request]).one for request in requests]
    pieces = data.draw(cut_anywhere(stream))
    assert read(pieces).result == whole.result
    assert read(bytes([byte]) for byte in stream).result == whole.result


@given(stream=mutants(), data=st.data())
def test_mutants(stream: bytes, data: st.DataObject) -> None:
    """They are refused with a status, or wait for more, or are requests; the same for each cut, and for llhttp."""
    check(stream, data.draw(cut_anywhere(stream)))


@given(stream=st.binary(max_size=200), data=st.data())
def test_noise(stream: bytes, data: st.DataObject) -> None:
    check(stream, data.draw(cut_anywhere(stream)))


def test_seeds_are_valid() -> None:
    for seed in SEEDS:
        accepts(seed)
