"""`hendrix.status.visitors`: who may look and who may act."""

from __future__ import annotations

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from hendrix.status.visitors import Visitors, is_local, is_private

TOKEN = "0123456789abcdef"
OPEN, CLOSED = Visitors(TOKEN, True), Visitors(TOKEN, False)


def asks(**fields: str):
    given = {name.replace("_", "-"): value for name, value in {"Host": "localhost:9000", **fields}.items()}
    return given.get


OURS = ["localhost", "localhost:9000", "127.0.0.1:9000", "127.1.2.3", "[::1]:80", "LOCALHOST.", "site.localhost:1"]
OTHERS = [None, "", "evil.example", "localhost.evil.example", "10.0.0.1", "127.0.0.1.evil.example", "[::2]", "0.0.0.0", "a@localhost"]


@pytest.mark.parametrize("host", OURS)
def test_names_of_this_machine(host):
    assert is_local(host) and OPEN.may_look(asks(Host=host))


@pytest.mark.parametrize("host", OTHERS)
def test_other_names_are_no_names_of_this_machine(host):
    assert not is_local(host)
    assert not OPEN.may_look({"Host": host}.get)


def test_without_a_token_there_is_nothing_to_do():
    assert Visitors(None, True).may_look(asks())
    for word in ("", "None", "Bearer", "Bearer None", "Bearer "):
        assert not Visitors(None, True).may_act(asks(Authorization=word))


def test_the_token_opens_everything():
    for visitors in (OPEN, CLOSED):
        given = asks(Authorization=f"Bearer {TOKEN}", Host="status.example.com")
        assert visitors.may_look(given) and visitors.may_act(given)
    assert not CLOSED.may_look(asks())


@pytest.mark.parametrize("word", ["", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer", "Bearer é"])
def test_what_is_not_the_token(word):
    assert not OPEN.may_act(asks(Authorization=word)) and not CLOSED.may_look(asks(Authorization=word))


@pytest.mark.parametrize("field", ["Forwarded", "X_Forwarded_For", "X_Real_IP", "Via"])
def test_through_a_proxy_it_is_not_this_machine_that_asks(field):
    assert not OPEN.may_look(asks(**{field: "203.0.113.1"}))


def test_a_page_of_another_site_may_not_look_or_act():
    other = asks(Sec_Fetch_Site="cross-site", Authorization=f"Bearer {TOKEN}")
    assert not OPEN.may_look(other) and not OPEN.may_act(other)
    assert OPEN.may_look(asks(Sec_Fetch_Site="same-origin"))


def test_private_addresses():
    assert is_private(UNIXAddress("/run/a")) and is_private(IPv4Address("TCP", "127.0.0.1", 1)) and is_private(IPv6Address("TCP", "::1", 1))
    assert not is_private(IPv4Address("TCP", "0.0.0.0", 1)) and not is_private(IPv6Address("TCP", "::", 1)) and not is_private(object())
