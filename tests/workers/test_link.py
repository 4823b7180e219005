"""The link: channels and questions over one connection."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from hendrix.control.commands import Commands
from hendrix.errors import PeerError
from hendrix.workers.link import Link, LinkLost


class Pair:
    """Both ends, and a hand that carries what they write."""

    def __init__(self) -> None:
        self.commands = Commands()
        self.parent, self.child = Link(), Link(self.commands)
        for end in (self.parent, self.child):
            end.makeConnection(StringTransport())

    def pump(self) -> None:
        for here, there in ((self.parent, self.child), (self.child, self.parent)):
            data = here.transport.value()
            here.transport.clear()
            if data:
                there.dataReceived(data)

    def cut(self) -> None:
        for end in (self.parent, self.child):
            end.connectionLost(Failure(ConnectionDone()))


@pytest.fixture
def pair() -> Pair:
    return Pair()


def outcome(answer: Deferred[Any]) -> Any:
    results: list[Any] = []
    answer.addBoth(results.append)
    return results[0]


def test_each_channel_hears_its_own_messages_in_order(pair: Pair) -> None:
    heard: list[Any] = []
    pair.child.channel("life").received = lambda message: heard.append(("life", message))
    pair.child.channel("hub").received = lambda message: heard.append(("hub", message))
    pair.parent.channel("hub").send({"n": 1})
    pair.parent.channel("life").send({"n": 2})
    pair.parent.channel("hub").send({"n": 3})
    pair.parent.channel("nobody").send({"n": 4})
    pair.pump()
    assert heard == [("hub", {"n": 1}), ("life", {"n": 2}), ("hub", {"n": 3})]


def test_a_channel_that_raises_holds_up_no_other(pair: Pair) -> None:
    heard: list[Any] = []
    pair.child.channel("bad").received = lambda message: 1 / 0
    pair.child.channel("good").received = heard.append
    pair.parent.channel("bad").send({})
    pair.parent.channel("good").send({"here": True})
    pair.pump()
    assert heard == [{"here": True}]


def test_a_question_is_answered_by_the_commands_of_the_other_end(pair: Pair) -> None:
    pair.commands.add("double", lambda arguments: arguments["n"] * 2, "Twice as much.", {"n": "a number"})
    answer = pair.parent.ask("double", {"n": 21})
    pair.pump()
    assert outcome(answer) == 42


def test_a_refusal_comes_back_as_one_line(pair: Pair) -> None:
    answer = pair.parent.ask("dubble")
    pair.pump()
    failure = outcome(answer)
    assert failure.check(PeerError)
    assert failure.getErrorMessage().startswith("dubble: there is no such command")


def test_a_question_in_flight_fails_when_the_link_ends_and_so_do_later_ones(pair: Pair) -> None:
    answer = pair.parent.ask("help")
    pair.cut()
    assert outcome(answer).check(LinkLost)
    assert outcome(pair.parent.ask("help")).check(LinkLost)


def test_each_channel_hears_of_the_end_once_and_sends_without_effect_after_it(pair: Pair) -> None:
    lost: list[str] = []
    pair.child.channel("a").lost = lambda: lost.append("a")
    pair.child.channel("b").lost = lambda: lost.append("b")
    pair.cut()
    pair.child.channel("a").send({})
    assert sorted(lost) == ["a", "b"]
    assert pair.child.transport.value() == b""


def test_it_tells_when_the_other_end_is_behind_and_when_it_is_not_any_longer(pair: Pair) -> None:
    told: list[str] = []
    channel = pair.parent.channel("hub")
    channel.room = lambda: told.append("room")
    assert not channel.congested
    pair.parent.transport.producer.pauseProducing()
    assert channel.congested
    pair.parent.transport.producer.resumeProducing()
    assert (channel.congested, told) == (False, ["room"])


def test_a_line_that_is_none_breaks_the_link(pair: Pair) -> None:
    pair.child.dataReceived(b"Traceback\n")
    assert pair.child.transport.disconnected or pair.child.transport.aborting
