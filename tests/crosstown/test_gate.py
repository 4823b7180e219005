"""Which status codes stop a task."""

from __future__ import annotations

import re

import pytest

from hendrix.crosstown.gate import DEFAULT, parse

GOOD = {
    404: {404},
    "404": {404},
    "5xx": set(range(500, 600)),
    "5XX": set(range(500, 600)),
    "400-405": {400, 401, 402, 403, 404, 405},
    "400 - 401": {400, 401},
    "404-404": {404},
    range(400, 406): {400, 401, 402, 403, 404, 405},
    range(400, 406, 5): {400, 405},
    range(0): set(),
    100: {100},
    999: {999},
    "9xx": set(range(900, 1000)),
}
BAD = [
    "",
    "4",
    "40",
    "4044",
    "4x",
    "4xxx",
    "xxx",
    "0xx",
    "099",
    " 404",
    "404\n",
    "5xx\n",
    "405-400",
    "400-",
    "-405",
    "4xx-5xx",
    "400..405",
    "400,405",
    "４０４",
    "abc",
    0,
    99,
    1000,
    -404,
    True,
    False,
    None,
    4.04,
    b"404",
    range(99, 101),
    range(990, 1001),
    [404],
    ("4xx",),
    {},
    object,
]


@pytest.mark.parametrize(("code", "meant"), GOOD.items(), ids=repr)
def test_each_form_of_a_code(code, meant):
    assert parse(code) == meant
    assert parse([code]) == meant


@pytest.mark.parametrize("code", BAD, ids=repr)
def test_nonsense_is_refused_with_the_grammar(code):
    for codes in ([code], [200, code, "5xx"]):
        with pytest.raises(ValueError, match=re.escape(repr(code))) as refused:
            parse(codes)
        for form in ('404, "404", "4xx", "400-405"', "range(400, 406)"):
            assert form in str(refused.value)


@pytest.mark.parametrize("codes", [None, 4.04, object()], ids=["none", "float", "object"])
def test_what_is_no_list_of_codes_is_refused_with_the_grammar(codes):
    with pytest.raises(ValueError, match="400-405"):
        parse(codes)


def test_mixed_forms_add_up():
    assert parse(["5xx", "400-405", 302, range(307, 309), "418"]) == {302, 307, 308, 418, *range(400, 406), *range(500, 600)}


def test_an_empty_list_stops_nothing_and_the_default_stops_errors():
    assert parse([]) == frozenset()
    assert parse(DEFAULT) == set(range(400, 600))


def test_any_iterable_will_do():
    assert parse(iter([404, "5xx"])) == parse({404, "5xx"}) == parse(("5xx", 404))


def test_a_refused_list_is_refused_again():
    for _ in range(2):
        with pytest.raises(ValueError):
            parse([1.0, 404])


def test_a_number_and_what_equals_it_are_told_apart():
    assert parse([200]) == {200}
    with pytest.raises(ValueError):
        parse([200.0])
    assert parse([1 * 100]) == {100}
