from __future__ import annotations

from typing import Literal

import pytest

from hendrix.errors import ConfigurationError
from hendrix.siblings.spec import Spec, keys_of, read


def make_service(
    context, host: str, port: int = 6697, tls: bool = True, channels: tuple[str, ...] = (), rate: float | None = None,
    how: Literal["fast", "slow"] = "fast", times=3,
):  # fmt: skip
    """Rings a bell.

    :param host: where
        it is.
    :param port: and its door.
    """


def test_what_the_signature_says_becomes_of_text():
    spec = Spec.parse("bell:host=[\\:\\:1]:port=0x88B5:tls=no:channels=#a, #b:rate=2.5:how=slow:times=7")
    assert spec.kind == "bell"
    assert read(spec, make_service) == {
        "host": "[::1]", "port": 0x88B5, "tls": False, "channels": ("#a", "#b"), "rate": 2.5, "how": "slow", "times": 7,
    }  # fmt: skip


def test_what_is_not_given_is_left_to_the_function():
    assert read(Spec.parse("bell:host=h"), make_service) == {"host": "h"}


def test_escapes_are_those_of_endpoint_strings():
    assert Spec.parse(r"bell:a=1\:2\\3\=4=5").values == {"a": r"1:2\3=4=5"}


def test_a_name_is_that_of_the_tree():
    spec = Spec.parse("bell:name=front:host=h")
    assert (spec.label, dict(spec.values)) == ("front", {"host": "h"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bell:prot=1", "there is no key prot; did you mean port?; bell knows host, port, tls, channels, rate, how, times"),
        ("bell:port=1", "host is missing; bell knows host, port"),
        ("bell:host=h:port=x", "port=x: give a whole number; bell knows host"),
        ("bell:host=h:rate=x", "rate=x: give a number"),
        ("bell:host=h:tls=maybe", "tls=maybe: give yes or no"),
        ("bell:host=h:how=so", "how=so: give fast or slow"),
        ("bell:host=h:host=i", "host is given twice"),
        ("bell:host", "'host' is no key=value"),
        (":host=h", "write it as NAME:key=value"),
    ],
)  # fmt: skip
def test_a_mistake_names_the_sibling_the_key_and_the_keys_it_knows(text, words):
    with pytest.raises(ConfigurationError) as caught:
        read(Spec.parse(text), make_service)
    assert words in str(caught.value) and str(caught.value).startswith(f"--sibling={text}: ")


def test_help_is_that_of_the_docstring():
    assert [(key.shown, key.help) for key in keys_of(make_service)][:3] == [
        ("host=TEXT", "where it is."),
        ("port=6697", "and its door."),
        ("tls=yes", ""),
    ]
