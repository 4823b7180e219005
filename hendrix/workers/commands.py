"""The commands of a process with workers: "reload", "recycle", "workers", "threads" and "profile"."""

from __future__ import annotations

import re
from typing import Any

from twisted.internet.defer import DeferredList

from hendrix.control.commands import Commands
from hendrix.control.profile import tracer_of
from hendrix.errors import ChildError, PeerError
from hendrix.workers.parent import Workers


def add_workers(commands: Commands, workers: Workers) -> None:
    """Add them."""
    its = OfWorkers(workers)
    commands.add("reload", its.reload, "New code: new workers take the place of all, and no request is lost. Answers when they serve.")
    commands.add("recycle", its.recycle, "A new process takes the place of one worker, and no request is lost.", {"worker": "its name"})
    commands.add("workers", its.workers, "How many processes serve, or so many from now on.", {"to": "a number, or +1, -1"})
    commands.add("threads", its.threads, "What each worker thread is doing now, and in which line of the application it is.")
    takes = {"tracer": "the process id of who wants to look into it; 0 for nobody any more", "worker": "the number of the worker"}
    commands.add("profile", its.profile, "Let a profiler look into a worker, and say which process that is.", takes)


class OfWorkers:
    """What they do."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    async def reload(self, arguments: dict[str, Any]) -> str:
        return f"{await self._workers.reload()} workers with new code"

    async def recycle(self, arguments: dict[str, Any]) -> str:
        name = arguments.get("worker")
        slot = next((slot for slot in self._workers.slots if slot.name == name), None)
        if slot is None:
            raise PeerError(400, f"worker={name}: give one of {', '.join(slot.name for slot in self._workers.slots)}")
        try:
            await slot.renew("recycle")
        except ChildError as error:
            raise PeerError(500, f"the old process goes on: {str(error).splitlines()[-1]}") from None
        return f"{slot.name} is a new process"

    async def workers(self, arguments: dict[str, Any]) -> int:
        count = len(self._workers.slots)
        if "to" in arguments:
            count = await self._workers.set_count(_number(arguments["to"], count))
        return count

    async def threads(self, arguments: dict[str, Any]) -> list[Any]:
        """Of each worker that answers."""
        processes = sorted(self._workers.processes, key=lambda process: (process.name, process.pid))
        answers = await DeferredList([process.link.ask("threads") for process in processes], consumeErrors=True)
        return [one for succeeded, answer in answers if succeeded for one in answer]

    async def profile(self, arguments: dict[str, Any]) -> Any:
        tracer, number = tracer_of(arguments), arguments.get("worker", 1)
        serving = {process.name: process for process in self._workers.processes if process.serving}
        process = serving.get(f"worker {number}")
        if process is None:
            raise PeerError(400, f"worker={number}: no such worker serves; there is {', '.join(sorted(serving)) or 'none'}")
        return await process.link.ask("profile", {"tracer": tracer})


def _number(to: Any, now: int) -> int:
    text = str(to)
    if not re.fullmatch(r"[+-]?\d{1,4}", text):
        raise PeerError(400, f"to={text}: give a number of workers, or +1 or -1")
    return now + int(text) if text[0] in "+-" else int(text)
