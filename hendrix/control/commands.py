"""The commands that a running hendrix understands, and whoever asks."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred

from hendrix.errors import PeerError


class Caller(Protocol):
    """Who asked, for a command that goes on: it is told what happens until it leaves (reactor thread).

    :ivar room: false while it is behind with reading: hold events back, or drop them.
    """

    @property
    def room(self) -> bool: ...

    def event(self, event: Any) -> None:
        """Tell it something that JSON can say; without effect once it has gone."""

    def watch(self, gone: Callable[[], object], room: Callable[[], object] | None = None) -> None:
        """Call ``gone`` once, when it has left, and ``room`` each time it can take more after it could not."""


# Returns what JSON can say, or a Deferred or coroutine of it. Raises PeerError with one line for a caller who asked for the impossible.
Function = Callable[[dict[str, Any]], Any]
Stream = Callable[[dict[str, Any], Caller], Any]


@dataclass(frozen=True)
class Command:
    """One of them. What it takes are its arguments, each with a word about it."""

    name: str
    run: Function | Stream
    help: str
    takes: Mapping[str, str] = field(default_factory=dict)
    stream: bool = False


class Commands:
    """A table of commands: the nodes of the tree add theirs. Reactor thread."""

    def __init__(self) -> None:
        self._table: dict[str, Command] = {}
        self.add("help", lambda _: self.help(), "What can be asked.")

    def add(self, name: str, run: Function, help: str, takes: Mapping[str, str] | None = None) -> None:
        """A command with one answer; ``run`` is called with its arguments.

        :param takes: the names of the arguments it knows, each with a word about it; others are refused before it is called.
        """
        self._table[name] = Command(name, run, help, takes or {})

    def add_stream(self, name: str, run: Stream, help: str, takes: Mapping[str, str] | None = None) -> None:
        """A command that goes on; ``run`` is called with its arguments and the `Caller`. What it returns is the caller's first answer."""
        self._table[name] = Command(name, run, help, takes or {}, stream=True)

    def help(self) -> dict[str, Any]:
        """Each command, with what it does and takes."""
        return {one.name: {"help": one.help, **({"takes": dict(one.takes)} if one.takes else {})} for one in self._table.values()}

    def run(self, name: object, arguments: Mapping[str, Any], caller: Caller | None = None) -> Deferred[Any]:
        """Its answer. Fails with `PeerError` for what does not exist or cannot be done, and with whatever the command raises.

        :param caller: without one, commands that go on cannot be run.
        """
        return maybeDeferred(self._run, name, dict(arguments), caller)

    def _run(self, name: object, arguments: dict[str, Any], caller: Caller | None) -> Any:
        command = self._table.get(name) if isinstance(name, str) else None
        if command is None:
            raise PeerError(400, f"{name}: there is no such command{_nearest(str(name), self._table)}")
        for unknown in [key for key in arguments if key not in command.takes]:
            raise PeerError(400, f"{unknown}: {command.name} takes no such argument{_nearest(unknown, command.takes)}")
        if not command.stream:
            return _awaited(command.run(arguments))  # type: ignore[call-arg]
        if caller is None:
            raise PeerError(400, f"{command.name}: this command goes on, and nobody is there to listen")
        return _awaited(command.run(arguments, caller))  # type: ignore[call-arg]


def _awaited(result: Any) -> Any:
    return ensureDeferred(result) if hasattr(result, "send") and hasattr(result, "__await__") else result


def _nearest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, known, 1)
    return f"; did you mean {near[0]}?" if near else f"; there is {', '.join(sorted(known)) or 'none'}"
