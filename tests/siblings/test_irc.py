from __future__ import annotations

import base64

import pytest
from sibling_house import House
from twisted.internet.testing import StringTransportWithDisconnection

from hendrix.errors import ConfigurationError
from hendrix.hey_joe import branch
from hendrix.siblings.irc import Identity, Irc, lines_of, make_service, say, topic_of


@pytest.fixture
def network(monkeypatch):
    house = House()
    monkeypatch.setattr(branch, "current", house.branch)
    context = house.context("irc")
    context.open()
    house.irc = Irc(context, None, Identity("jimi", "joe", "secret", "sasl"), ("#hx",), 0)
    house.connect = lambda: connected(house.irc)
    return house


def connected(irc):
    client, wire = irc._protocol(), StringTransportWithDisconnection()
    wire.protocol = client
    client.makeConnection(wire)

    def ask(line=b""):
        client.dataReceived(line + b"\r\n" if line else b"")
        sent = wire.value().decode().splitlines()
        wire.clear()
        return sent

    ask.wire = wire
    return ask


def test_sasl_plain(network):
    server = network.connect()
    assert server() == ["CAP REQ :sasl", "NICK jimi", "USER jimi hendrix hendrix :jimi"]
    assert server(b":s CAP * ACK :sasl") == ["AUTHENTICATE PLAIN"]
    assert server(b"AUTHENTICATE +") == ["AUTHENTICATE " + base64.b64encode(b"joe\0joe\0secret").decode()]
    assert server(b":s 903 jimi :ok") == ["CAP END"]


@pytest.mark.parametrize("line", [b":s CAP * NAK :sasl", b":s 904 jimi :no"])
def test_without_login_it_does_not_stay(network, line):
    server = network.connect()
    server(line)
    assert not server.wire.connected


def test_nickserv(network):
    network.irc._identity.login = "nickserv"
    server = network.connect()
    server()
    assert server(b":s 001 jimi :hi")[0] == "PRIVMSG NickServ :IDENTIFY joe secret"


def test_a_nick_that_somebody_has(network):
    server = network.connect()
    server()
    assert server(b":s 433 * jimi :in use") == ["NICK jimi_"]


def test_what_is_said_before_it_is_there_is_said_when_it_is(network):
    say("#hx", "one\ntwo\r\nQUIT")
    server = network.connect()
    server()
    assert server(b":s 001 jimi :hi") == ["JOIN #hx"]
    assert server(b":jimi!j@h JOIN :#hx") == [f"PRIVMSG #hx :{text}" for text in ("one", "two", "QUIT")]


def test_lines_are_events_whatever_their_encoding(network):
    server = network.connect()
    server(b":s 001 jimi :hi")
    server(b":ann!a@h PRIVMSG #hx :caf\xc3\xa9")
    server(b":ann!a@h PRIVMSG #hx :caf\xe9")
    event = {"channel": "#hx", "nick": "ann", "text": "café", "kind": "message"}
    assert [one for one in network.payloads if one[0] == "irc.irc.hx"] == [("irc.irc.hx", event)] * 2


def test_a_line_without_end_is_the_end_of_the_connection(network):
    server = network.connect()
    server.wire.protocol.dataReceived(b"x" * 100_000)
    assert not server.wire.connected


def test_what_waits_is_bounded(network):
    for _ in range(600):
        say("#hx", "word")
    assert network.irc.numbers()["dropped"] == 100


def test_long_text_is_cut_between_characters():
    text = "x" + "é" * 1000
    lines = lines_of(text)
    assert "".join(lines) == text and all(len(line.encode()) <= 400 for line in lines)


def test_topics():
    assert [topic_of("n", name) for name in ("#Hx", "##a.b", "jimi", "#")] == ["irc.n.hx", "irc.n.a=b", "irc.n.jimi", "irc.n.="]


@pytest.mark.parametrize("channel", ["#a b", "", "#a\r\nQUIT", "#a,#b", ":x"])
def test_no_such_channel(channel):
    with pytest.raises(ValueError, match="is no name of a channel"):
        say(channel, "x")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"account": "joe"}, "go together"),
        ({"login": "guess"}, "login=guess: give sasl or nickserv"),
        ({"channels": ("#a b",)}, "channels=#a b"),
        ({"ca": "/nonexistent/ca"}, "/nonexistent/ca: No such file"),
    ],
)
def test_what_cannot_work_is_one_line(keys, words):
    with pytest.raises(ConfigurationError, match=words):
        make_service(House().context(), "localhost", "jimi", **keys)
