from __future__ import annotations

import json

import pytest
from sibling_house import House
from twisted.internet.testing import StringTransport

from hendrix.control.commands import Commands
from hendrix.errors import ConfigurationError
from hendrix.hey_joe.commands import add_hub
from hendrix.siblings.pubsub import Clients, make_service

TOKEN = "the wind cries Mary"


class Wire(StringTransport):
    def registerProducer(self, producer, streaming):
        pass

    def unregisterProducer(self):
        pass

    def pauseProducing(self):
        pass

    def resumeProducing(self):
        pass


@pytest.fixture
def clients():
    house = House()
    commands = Commands()
    add_hub(commands, lambda: house.branch)
    factory = Clients(commands, set(), TOKEN, 2)
    factory.house = house
    return factory


def connected(clients):
    wire = Wire()
    protocol = clients.buildProtocol(None)
    protocol.makeConnection(wire)

    def ask(**command):
        wire.clear()
        protocol.dataReceived(json.dumps(command).encode() + b"\n")
        return [json.loads(line) for line in wire.value().splitlines()]

    ask.wire = wire
    return ask


def test_the_first_line_bears_the_token_for_all(clients):
    ask = connected(clients)
    assert ask(command="publish", topic="a", payload=1, token=TOKEN) == [{"result": {"published": "a"}}]
    assert ask(command="publish", topic="a", payload=2) == [{"result": {"published": "a"}}]
    assert clients.house.payloads == [("a", 1), ("a", 2)]


@pytest.mark.parametrize("token", [{}, {"token": "guess"}, {"token": None}, {"token": 7}, {"token": "\ud800"}, {"token": ""}])
def test_without_it_nothing_is_done(clients, token):
    ask = connected(clients)
    assert "token is missing or wrong" in ask(command="publish", topic="a", payload=1, **token)[0]["error"]
    assert "token is missing or wrong" in ask(command="help")[0]["error"]
    assert clients.house.payloads == []


def test_one_client_does_not_open_the_door_for_another(clients):
    connected(clients)(command="history", topic="a", token=TOKEN)
    assert "error" in connected(clients)(command="history", topic="a")[0]


def test_who_subscribes_hears(clients):
    ask, other = connected(clients), connected(clients)
    assert "id" in ask(command="subscribe", topic="chat.*", token=TOKEN)[0]["result"]
    ask.wire.clear()
    other(command="publish", topic="chat.lobby", payload={"text": "hello"}, token=TOKEN)
    event = json.loads(ask.wire.value())["event"]
    assert (event["topic"], event["payload"]) == ("chat.lobby", {"text": "hello"})


def test_there_are_no_commands_but_those_of_the_hub(clients):
    assert "no such command" in connected(clients)(command="stop", token=TOKEN)[0]["error"]


def test_there_is_room_for_so_many(clients):
    connected(clients), connected(clients)
    wire = Wire()
    clients.buildProtocol(None).makeConnection(wire)
    assert "2 clients are connected" in wire.value().decode()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, "give either token_file or token"),
        ({"token": "short"}, "too short"),
        ({"token_file": "/nonexistent/token"}, "token_file=/nonexistent/token: No such file"),
    ],
)
def test_what_cannot_work_is_one_line(keys, words):
    with pytest.raises(ConfigurationError, match=words):
        make_service(House().context(), "unix:/tmp/x", **keys)
