"""Calls the handlers and consumers that the application has declared: on the crew, with all that is around crosstown tasks."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from hendrix.crosstown.dispatcher import Dispatcher
from hendrix.crosstown.task import Task
from hendrix.hey_joe.branch import Branch, Member
from hendrix.hey_joe.declared import Event, Handler
from hendrix.hey_joe.inbox import TOO_SLOW
from hendrix.hey_joe.message import Gap, Message, encoded
from hendrix.hey_joe.rules import Rule

log = Logger(namespace="hendrix.hey_joe")


class Handling:
    """For a process that has the application.

    :param dispatcher: gives the one that runs tasks on the crew; None when it runs no more.
    """

    def __init__(self, branch: Branch, dispatcher: Callable[[], Dispatcher | None]) -> None:
        self._branch, self._dispatcher = branch, dispatcher
        self._handlers: dict[str, Handler] = {}
        self._everywhere: dict[str, Everywhere] = {}
        branch.jobs = self

    # What is declared (any thread).

    def rule_declared(self, pattern: str, rule: Rule) -> None:
        self._branch.post(self._branch.rule, pattern, rule)

    def handler_declared(self, handler: Handler) -> None:
        self._branch.post(self._add, handler)

    # The reactor thread.

    def do(self, number: int, queue: str, message: Message, wanted: bool) -> None:
        """A job for this process (`branch.Jobs`)."""
        branch = self._branch

        def done(result: str | None, error: BaseException | None) -> None:
            if error is None:
                branch.done(number, result)
            else:
                branch.failed(number, f"{queue}: its consumer raised {type(error).__name__}: {error}")

        if not self.call(self._handlers[queue], message, done, wanted):
            branch.refused(number)

    def call(
        self, handler: Handler, message: Message, ended: Callable[[str | None, BaseException | None], object], wanted: bool = False
    ) -> bool:
        """Have a handler called on the crew. False if that cannot be any more.

        :param ended: called then, on the reactor thread, with what it has returned as JSON, or what it raised.
        :param wanted: somebody wants what it returns.
        """
        dispatcher = self._dispatcher()
        if dispatcher is None:
            return False
        post = self._branch.post

        def call() -> None:
            result = None
            try:
                value = handler.function(Event.of(message))
                if wanted:
                    result = encoded(message.topic, value)
            except BaseException as error:
                post(ended, None, error)
                raise
            post(ended, result, None)

        task = Task(call, handler.name, frozenset())
        task.cause = f"the event {message.id} of {message.topic}"
        dispatcher.submit(task)
        return True

    def _add(self, handler: Handler) -> None:
        if handler.queue is not None:
            self._handlers[handler.queue] = handler
            self._branch.serve(handler.queue, handler.pattern, handler.places)
        elif handler.key in self._everywhere:
            self._everywhere[handler.key].handler = handler
        else:
            self._everywhere[handler.key] = Everywhere(self, self._branch, handler)


class Everywhere:
    """A handler that each process calls for each event: a subscriber like any other."""

    def __init__(self, handling: Handling, branch: Branch, handler: Handler) -> None:
        self._handling, self._branch, self.handler = handling, branch, handler
        self._running = 0
        self._join()

    def ready(self) -> None:
        while self._running < self.handler.places and (item := self._member.take()) is not None:
            if isinstance(item, Gap):
                log.warn("{name} has missed messages: {gap}", name=self.handler.name, gap=item)
            elif self._handling.call(self.handler, item, self._ended):
                self._running += 1

    def cut(self, code: int, reason: str) -> None:
        if code == TOO_SLOW:  # the policy of a topic is to disconnect; a handler begins anew
            log.warn("{name} has missed messages: it was too slow for them", name=self.handler.name)
            self._member.leave()
            self._join()

    def _join(self) -> None:
        assert self.handler.pattern is not None
        self._member: Member = self._branch.join(self)
        self._member.subscribe({self.handler.pattern: None})

    def _ended(self, result: str | None, error: BaseException | None) -> None:
        self._running -= 1
        self.ready()
