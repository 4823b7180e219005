"""The functions of hey_joe in hendrix 5."""

from __future__ import annotations

import pytest
from hubs import Reader, Tree

from hendrix import hey_joe
from hendrix.hey_joe import branch as branches, hendrix5


class Socket:
    def __init__(self):
        self.sent = []

    def send(self, data):
        self.sent.append(data)


@pytest.fixture
def tree(monkeypatch):
    tree = Tree()
    monkeypatch.setattr(branches, "current", tree.branches[0])
    return tree


def test_send_goes_to_a_topic(tree):
    reader = Reader(tree.branches[0], "nodes")
    tree.settle()
    hey_joe.send({"a": 1}, "nodes")
    hey_joe.send(2, topic="nodes")
    tree.settle()
    assert reader.payloads == [{"a": 1}, 2]


def test_send_goes_to_one_client():
    socket = Socket()
    hey_joe.send({"a": "é"}, transport=socket)
    hey_joe.send(2, transport=hendrix5.Participant(socket))
    assert socket.sent == ['["YOU",{"a":"é"}]', '["YOU",2]']


def test_send_goes_to_exactly_one():
    for wrong in ({}, {"topic": "a", "transport": Socket()}):
        with pytest.raises(ValueError, match="give one of the two"):
            hey_joe.send(1, **wrong)


def test_broadcast_has_a_topic(tree):
    reader = Reader(tree.branches[0], hendrix5.BROADCAST)
    tree.settle()
    hey_joe.broadcast([1])
    tree.settle()
    assert reader.payloads == [[1]]


def test_a_followup_is_called_with_what_it_knew(monkeypatch):
    monkeypatch.setattr(hendrix5, "followups", {})
    hey_joe.register_followup("states", lambda participant: participant.sendMessage(b'["state", 1]'))
    socket = Socket()
    hendrix5.followups["states"](hendrix5.Participant(socket))
    hendrix5.Participant(socket).sendMessage(b"\x00", isBinary=True)
    assert socket.sent == ['["state", 1]', b"\x00"]
    with pytest.raises(hey_joe.BadTopic):
        hey_joe.register_followup("a b", print)


def test_hey_joe_is_where_hendrix_5_had_it():
    from hendrix import experience

    assert experience.hey_joe is hey_joe
