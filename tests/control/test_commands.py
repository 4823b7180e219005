"""`hendrix.control.commands`: what can be asked, and how the impossible is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from hendrix.control.commands import Caller, Commands
from hendrix.errors import PeerError


class Listening:
    """A `Caller` that keeps what it is told."""

    room = True

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def event(self, event: Any) -> None:
        self.heard.append(event)

    def watch(self, gone: object, room: object = None) -> None: ...


class Running(SynchronousTestCase):
    def setUp(self) -> None:
        self.commands = Commands()
        self.commands.add("echo", lambda arguments: arguments, "Say it again.", {"text": "what to say"})

    def test_gives_what_the_function_returns(self) -> None:
        assert self.successResultOf(self.commands.run("echo", {"text": "hi"})) == {"text": "hi"}

    def test_waits_for_a_deferred_or_a_coroutine(self) -> None:
        waiting: Deferred[str] = Deferred()

        async def later(arguments: Mapping[str, Any]) -> str:
            return await waiting + "!"

        self.commands.add("later", later, "")
        self.commands.add("now", lambda arguments: succeed(7), "")
        answer = self.commands.run("later", {})
        self.assertNoResult(answer)
        waiting.callback("done")
        assert self.successResultOf(answer) == "done!"
        assert self.successResultOf(self.commands.run("now", {})) == 7

    def test_fails_as_the_function_does(self) -> None:
        self.commands.add("divide", lambda arguments: 1 / 0, "")
        self.failureResultOf(self.commands.run("divide", {}), ZeroDivisionError)

    def test_a_stream_talks_to_its_caller(self) -> None:
        def count(arguments: Mapping[str, Any], caller: Caller) -> str:
            caller.event(1)
            return "counting"

        self.commands.add_stream("count", count, "")
        caller = Listening()
        assert self.successResultOf(self.commands.run("count", {}, caller)) == "counting"
        assert caller.heard == [1]
        assert "nobody is there" in str(self.failureResultOf(self.commands.run("count", {}), PeerError).value)

    def test_help_lists_them(self) -> None:
        listed = self.successResultOf(self.commands.run("help", {}))
        assert listed == {"help": {"help": "What can be asked."}, "echo": {"help": "Say it again.", "takes": {"text": "what to say"}}}

    def test_what_is_not_there_is_refused_with_the_nearest(self) -> None:
        for name, arguments, words in (
            ("ecko", {}, "ecko: there is no such command; did you mean echo?"),
            ("zzz", {}, "zzz: there is no such command; there is echo, help"),
            (None, {}, "None: there is no such command; there is echo, help"),
            (["echo"], {}, "['echo']: there is no such command"),
            ("echo", {"test": 1}, "test: echo takes no such argument; did you mean text?"),
            ("help", {"zzz": 1}, "zzz: help takes no such argument; there is none"),
        ):
            with self.subTest(name=name, arguments=arguments):
                error = self.failureResultOf(self.commands.run(name, arguments), PeerError).value
                assert str(error).startswith(words)


@pytest.mark.parametrize("wrong", [{}, {"name": 3}])
def test_a_function_never_sees_the_table_of_its_caller(wrong: dict[str, Any]) -> None:
    commands = Commands()
    commands.add("clear", lambda arguments: arguments.clear(), "", {"name": ""})
    before = dict(wrong)
    commands.run("clear", wrong)
    assert wrong == before
