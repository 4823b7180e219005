"""RFC 9110, sections 12.5.3, 13 and 14, on one representation."""

from __future__ import annotations

import pytest

from hendrix.wsgi.conditional import Unsatisfiable, accepts, part, precondition

ETAG = '"1-2"'
MODIFIED = 784111777
DATE, BEFORE, AFTER = "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:36 GMT", "Sun, 06 Nov 1994 08:49:38 GMT"
RFC850, ASCTIME = "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 0),
        ({"IF_NONE_MATCH": '"1-2"'}, 304),
        ({"IF_NONE_MATCH": 'W/"1-2"'}, 304),
        ({"IF_NONE_MATCH": '"0", "1-2"'}, 304),
        ({"IF_NONE_MATCH": "*"}, 304),
        ({"IF_NONE_MATCH": '"1-3"'}, 0),
        ({"IF_NONE_MATCH": "1-2"}, 0),
        ({"IF_NONE_MATCH": '"1-3"', "IF_MODIFIED_SINCE": DATE}, 0),
        ({"IF_MODIFIED_SINCE": DATE}, 304),
        ({"IF_MODIFIED_SINCE": RFC850}, 304),
        ({"IF_MODIFIED_SINCE": ASCTIME}, 304),
        ({"IF_MODIFIED_SINCE": AFTER}, 304),
        ({"IF_MODIFIED_SINCE": BEFORE}, 0),
        ({"IF_MODIFIED_SINCE": "yesterday"}, 0),
        ({"IF_MODIFIED_SINCE": ""}, 0),
        ({"IF_MATCH": '"1-2"'}, 0),
        ({"IF_MATCH": "*"}, 0),
        ({"IF_MATCH": 'W/"1-2"'}, 412),
        ({"IF_MATCH": '"1-3"'}, 412),
        ({"IF_MATCH": '"1-2"', "IF_NONE_MATCH": '"1-2"'}, 304),
        ({"IF_MATCH": '"1-2"', "IF_UNMODIFIED_SINCE": BEFORE}, 0),
        ({"IF_UNMODIFIED_SINCE": BEFORE}, 412),
        ({"IF_UNMODIFIED_SINCE": DATE}, 0),
        ({"IF_UNMODIFIED_SINCE": "Sun, 99 Nov 99999 08:49:37 GMT"}, 0),
    ],
)
def test_preconditions(fields, status):
    assert precondition({f"HTTP_{name}": value for name, value in fields.items()}, ETAG, MODIFIED) == status


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-99", (0, 100)),
        ("bytes=10-19", (10, 10)),
        ("BYTES= 10-19 ", (10, 10)),
        ("bytes=90-", (90, 10)),
        ("bytes=90-1000", (90, 10)),
        ("bytes=-10", (90, 10)),
        ("bytes=-1000", (0, 100)),
        ("bytes=-", None),
        ("bytes=20-10", None),
        ("bytes=0-1,5-6", None),
        ("bytes=a-b", None),
        ("lines=0-1", None),
        ("", None),
        ("bytes=" + "9" * 100 + "-", None),
        ("bytes=٣-٤", None),
    ],
)
def test_ranges(asked, found):
    assert part({"HTTP_RANGE": asked}, 100, ETAG, MODIFIED) == found


@pytest.mark.parametrize(
    ("asked", "size"), [("bytes=100-", 100), ("bytes=100-200", 100), ("bytes=-0", 100), ("bytes=0-", 0), ("bytes=-1", 0)]
)
def test_ranges_behind_the_end(asked, size):
    with pytest.raises(Unsatisfiable):
        part({"HTTP_RANGE": asked}, size, ETAG, MODIFIED)


@pytest.mark.parametrize(
    ("condition", "holds"), [(ETAG, True), ('W/"1-2"', False), ('"1-3"', False), (DATE, True), (AFTER, False), (BEFORE, False), ("", False)]
)
def test_if_range(condition, holds):
    found = part({"HTTP_RANGE": "bytes=1-2", "HTTP_IF_RANGE": condition}, 100, ETAG, MODIFIED)
    assert found == ((1, 2) if holds else None)


@pytest.mark.parametrize(
    ("accepted", "br", "gzip"),
    [
        ("", False, False),
        ("gzip", False, True),
        ("GZIP, BR", True, True),
        ("gzip;q=0, br; q=0.5", True, False),
        ("*", True, True),
        ("*;q=0.1, br;q=0", False, True),
        ("br;q=x", False, False),
        ("identity, gzip;q=1.0", False, True),
        ("xgzip, br2", False, False),
    ],
)
def test_accept_encoding(accepted, br, gzip):
    assert (accepts(accepted, "br"), accepts(accepted, "gzip")) == (br, gzip)
