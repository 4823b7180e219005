"""`hendrix.control.conversation`: lines in, answers out, whatever the client does."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from hendrix.control.commands import Caller, Commands
from hendrix.control.conversation import Conversation
from hendrix.errors import ConfigurationError
from hendrix.wire.lines import LIMIT


class Transport(StringTransport):
    reading = True

    def __init__(self) -> None:
        super().__init__()
        self.socket, self.client = socket.socketpair()
        self.fileno = self.socket.fileno

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = True


class Talking(SynchronousTestCase):
    def setUp(self) -> None:
        self.commands = Commands()
        self.commands.add("echo", lambda arguments: arguments, "", {"text": ""})
        self.waiting: list[Deferred[Any]] = []
        self.commands.add("wait", self.wait_for_it, "")
        self.commands.add_stream("listen", self.listen, "")
        self.callers: list[Caller] = []
        self.left = self.roomy = 0
        self.others: set[Conversation] = set()
        self.transport = Transport()
        self.talk = Conversation(self.commands, self.others)
        self.talk.makeConnection(self.transport)  # type: ignore[arg-type]

    def wait_for_it(self, arguments: Mapping[str, Any]) -> Deferred[Any]:
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def listen(self, arguments: Mapping[str, Any], caller: Caller) -> str:
        def gone() -> None:
            self.left += 1

        def room() -> None:
            self.roomy += 1

        self.callers.append(caller)
        caller.event("early")
        caller.watch(gone, room)
        return "listening"

    def say(self, *lines: str) -> None:
        self.talk.dataReceived("".join(line + "\n" for line in lines).encode())

    @property
    def heard(self) -> list[Any]:
        answers = [json.loads(line) for line in self.transport.value().splitlines()]
        self.transport.clear()
        return answers

    def test_an_answer_has_the_id_of_its_command_if_that_had_one(self) -> None:
        self.say('{"command": "echo", "text": 1}', '{"command": "echo", "text": 2, "id": "a"}')
        assert self.heard == [{"result": {"text": 1}}, {"id": "a", "result": {"text": 2}}]

    def test_what_is_wrong_gets_an_error_line_and_the_next_command_its_answer(self) -> None:
        self.say("nonsense", '{"command": "ecko", "id": 1}', '{"command": "echo", "txt": 1}', '{"id": 2}', '{"command": "echo", "id": 3}')
        errors = self.heard
        assert [answer.get("id") for answer in errors] == [None, 1, None, 2, 3]
        assert errors[0] == {"error": "the line is not a JSON object"}
        assert errors[1] == {"id": 1, "error": "ecko: there is no such command; did you mean echo?"}
        assert errors[-1] == {"id": 3, "result": {}}

    def test_a_line_that_is_too_long_ends_the_conversation(self) -> None:
        self.talk.dataReceived(b"x" * (LIMIT + 1))
        assert self.heard == [{"error": f"the line is longer than {LIMIT} bytes"}]
        assert self.transport.disconnecting
        self.say('{"command": "echo"}')
        assert self.heard == []

    def test_a_command_that_fails_says_so_on_one_line(self) -> None:
        def misconfigured(arguments: object) -> None:
            raise ConfigurationError("--x: wrong\nbecause")

        self.commands.add("misconfigured", misconfigured, "")
        self.commands.add("broken", lambda arguments: 1 / 0, "")
        self.commands.add("secret", lambda arguments: object(), "")
        self.say('{"command": "misconfigured"}', '{"command": "broken"}', '{"command": "secret"}')
        assert [answer["error"] for answer in self.heard] == [
            "--x: wrong because",
            "ZeroDivisionError: division by zero",
            "TypeError: Object of type object is not JSON serializable",
        ]
        assert len(self.flushLoggedErrors(ZeroDivisionError, TypeError)) == 2

    def test_commands_are_run_one_after_another_and_nothing_is_read_meanwhile(self) -> None:
        self.say('{"command": "wait", "id": 1}', '{"command": "echo", "id": 2}')
        assert self.heard == [] and not self.transport.reading
        self.waiting[0].callback("done")
        assert [answer["id"] for answer in self.heard] == [1, 2]
        assert self.transport.reading

    def test_a_thousand_commands_in_one_piece_are_answered(self) -> None:
        self.say(*['{"command": "echo"}'] * 1000)
        assert self.heard == [{"result": {}}] * 1000

    def test_a_client_that_does_not_read_is_not_read(self) -> None:
        self.talk.pauseProducing()
        assert not self.transport.reading
        self.say('{"command": "echo"}')
        assert self.heard == []
        self.talk.resumeProducing()
        assert self.heard == [{"result": {}}] and self.transport.reading

    def test_events_follow_the_answer_and_end_with_the_client(self) -> None:
        self.say('{"command": "listen", "id": 5}')
        self.callers[0].event({"n": 1})
        assert self.heard == [{"id": 5, "result": "listening"}, {"id": 5, "event": "early"}, {"id": 5, "event": {"n": 1}}]
        self.talk.pauseProducing()
        assert not self.callers[0].room
        self.talk.resumeProducing()
        assert self.callers[0].room and self.roomy == 1
        self.talk.connectionLost(Failure(ConnectionDone()))
        self.callers[0].event("late")
        assert (self.left, self.heard, self.others) == (1, [], set())

    def test_a_client_that_has_asked_all_hears_all_answers(self) -> None:
        self.say('{"command": "wait"}', '{"command": "echo"}')
        self.talk.readConnectionLost()
        assert not self.transport.disconnecting
        self.waiting[0].callback(1)
        assert self.heard == [{"result": 1}, {"result": {}}]
        assert self.transport.disconnecting

    def test_one_that_listens_goes_on_listening_when_it_has_asked_all(self) -> None:
        self.say('{"command": "listen"}')
        self.talk.readConnectionLost()
        assert not self.transport.disconnecting

    def test_one_that_listens_and_is_closed_on_both_sides_has_gone(self) -> None:
        self.say('{"command": "listen"}')
        self.transport.client.close()
        self.talk.readConnectionLost()
        assert self.transport.disconnecting

    def test_an_answer_to_one_that_has_left_goes_nowhere(self) -> None:
        self.say('{"command": "wait"}', '{"command": "wait"}')
        self.talk.connectionLost(Failure(ConnectionDone()))
        self.waiting[0].callback(1)
        assert len(self.waiting) == 1 and self.heard == []
