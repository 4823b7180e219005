"""Who asks, from where, and as whom."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from hendrix import hey_joe
from hendrix.hey_joe.admission import environ_of, from_here, identity

ENVIRON = {"wsgi.version": (1, 0), "HTTP_HOST": "example.com"}


def test_the_environ_of_a_request_of_any_framework():
    assert environ_of(ENVIRON) is ENVIRON
    assert environ_of(SimpleNamespace(environ=ENVIRON)) is ENVIRON
    assert environ_of(SimpleNamespace(META=ENVIRON)) is ENVIRON
    for other in ({}, None, SimpleNamespace(environ=3)):
        with pytest.raises(TypeError, match=r"hey_joe.accept takes a request of"):
            environ_of(other)


@pytest.mark.parametrize(
    ("origin", "host", "allowed", "may"),
    [
        ("", "example.com", (), True),
        ("https://example.com", "example.com", (), True),
        ("https://EXAMPLE.com", "example.com:443", (), True),
        ("http://example.com:80", "example.com", (), True),
        ("http://example.com", "example.com:443", (), False),
        ("http://example.com:8000", "example.com:8000", (), True),
        ("http://example.com:8001", "example.com:8000", (), False),
        ("https://example.com.evil.org", "example.com", (), False),
        ("https://evil.org", "example.com", (), False),
        ("null", "example.com", (), False),
        ("null", "null", (), False),
        ("null", "example.com", ("null",), True),
        ("https://app.example.com", "example.com", ("https://app.example.com",), True),
        ("https://app.example.com", "example.com", ("https://*.example.com",), True),
        ("https://app.example.com.evil.org", "example.com", ("https://*.example.com",), False),
        ("http://app.example.com", "example.com", ("https://*.example.com",), False),
        ("https://evil.org", "example.com", ("*",), True),
        ("https://", "", (), False),
    ],
)
def test_the_origin(origin: str, host: str, allowed: tuple[str, ...], may: bool):
    assert from_here({"HTTP_ORIGIN": origin, "HTTP_HOST": host}, allowed) == may


def test_the_identity_of_a_user():
    ann = SimpleNamespace(pk=7)
    assert identity(ann) == (ann, "7")
    assert identity("ann") == ("ann", "ann")
    assert identity(7)[1] == identity(ann)[1], "a primary key stands for its user"
    assert identity(None) == (None, None)
    assert identity(SimpleNamespace(pk=None))[1] is None, "an anonymous user is nobody"


def test_a_lazy_user_is_resolved_for_it_holds_on_to_its_request():
    functional = pytest.importorskip("django.utils.functional")
    ann = SimpleNamespace(pk=7)
    lazy = functional.SimpleLazyObject(lambda: ann)
    user, key = identity(lazy)
    assert user is ann
    assert key == "7"


def test_outside_of_hendrix_it_says_so():
    with pytest.raises(hey_joe.NotServed, match="not served by hendrix"):
        hey_joe.accept(ENVIRON)
    with pytest.raises(hey_joe.NotServed, match=r"hey_joe.send_to: this is no process of hendrix"):
        hey_joe.send_to("x", "y")
    with pytest.raises(hey_joe.NotServed, match=r"hey_joe.close_for: this is no process of hendrix"):
        hey_joe.close_for("ann")
    with pytest.raises(ValueError, match="give a user who has a primary key"):
        hey_joe.close_for(None)
