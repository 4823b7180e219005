"""Chaos: a site under constant load is reloaded again and again, then its workers are killed; what is lost is counted.

``make chaos`` runs 200 reloads and 50 kills; the test runs a few of each. No client tries anything twice:

- 64 keep a connection and send one request after another, with short and long pauses, as browsers do;
- 8 make a connection for each request.

A reload may lose no request and refuse no connection. A worker that is killed loses what it had in flight, and nothing else: whatever is
lost must have been with one that was killed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from harness import Site

KEEP_ALIVE, ONE_SHOT = 64, 8
# Seconds to wait for a reload or a replacement.
PATIENCE = 120.0


@dataclasses.dataclass
class Count:
    """What the clients have seen.

    :ivar closed: connections that were closed while no request was on its way; a client sees that before it sends the next one.
    :ivar lost: for each request without an answer, the worker that had answered before on its connection; None on a new one.
    """

    answered: int = 0
    connections: int = 0
    refused: int = 0
    closed: int = 0
    strange: list[str] = dataclasses.field(default_factory=list)
    lost: list[int | None] = dataclasses.field(default_factory=list)


class Load:
    """The clients, in a thread of their own, from `__enter__` to `__exit__`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.count = Count()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(PATIENCE)

    async def _run(self) -> None:
        clients = [self._client(keep_alive=number < KEEP_ALIVE, seed=number) for number in range(KEEP_ALIVE + ONE_SHOT)]
        await asyncio.gather(*clients)

    async def _client(self, keep_alive: bool, seed: int) -> None:
        chance = random.Random(seed)
        while not self._stopping.is_set():
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                self.count.refused += 1
                continue
            self.count.connections += 1
            await self._converse(reader, writer, keep_alive, chance)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, keep_alive: bool, chance: random.Random) -> None:
        pid: int | None = None
        close = not keep_alive
        while not self._stopping.is_set():
            if reader.at_eof():
                self.count.closed += 1
                return
            ask = b"GET / HTTP/1.1\r\nHost: chaos\r\n" + (b"Connection: close\r\n" if close else b"") + b"\r\n"
            try:
                writer.write(ask)
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.decode().lower().split("\r\n")
                fields = dict(line.split(": ", 1) for line in lines[1:] if line)
                body = await reader.readexactly(int(fields["content-length"]))
            except (OSError, EOFError):
                self.count.lost.append(pid)
                return
            pid = int(fields["x-pid"]) if "x-pid" in fields else pid
            if not lines[0].startswith("http/1.1 200") or body != b"chaos\n":
                self.count.strange.append(lines[0])
            self.count.answered += 1
            if fields.get("connection") == "close":
                return
            await asyncio.sleep(chance.choice((0, 0.001, 0.01, 0.01, 0.05, 1)))


class Chaos:
    """A site with workers, and what is done to it."""

    def __init__(self, site: Site, load: Load, workers: int) -> None:
        self._site, self._load, self._workers = site, load, workers
        self.killed: set[int] = set()

    def reload(self) -> None:
        done = self._site.log.count("reloaded: ")
        os.kill(self._site.pid, signal.SIGHUP)
        self._until(lambda: self._site.log.count("reloaded: ") > done, "the reload does not end")

    def kill(self) -> None:
        """End a random worker, and wait until another has taken its place."""
        self._until(lambda: len(self._site.children) == self._workers, "those that were replaced do not leave")
        before = set(self._site.children)
        victim = random.choice(sorted(before))
        self.killed.add(victim)
        os.kill(victim, signal.SIGKILL)
        answered = self._load.count.answered
        replaced = f"pid {victim} was killed"
        self._until(lambda: replaced in self._site.log and len(set(self._site.children) - before) >= 1, "it is not replaced")
        self._until(lambda: self._load.count.answered > answered + 50, "it does not serve")
        time.sleep(1.2)  # no faster than its supervisor puts up with

    def settle(self) -> None:
        """Wait until the clients have been served for a while."""
        answered = self._load.count.answered
        self._until(lambda: self._load.count.answered > answered + 200, "it does not serve")

    def _until(self, condition: Callable[[], bool], complaint: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"{complaint}\n{self._site.log[-4000:]}"
            time.sleep(0.02)


@contextlib.contextmanager
def chaos(workers: int) -> Iterator[tuple[Chaos, Load]]:
    """A site with so many workers, under load."""
    with Site("chaotic:app", f"--workers={workers}", "--threads=4") as site:
        with Load(site.port) as load:
            chaos = Chaos(site, load, workers)
            chaos.settle()
            yield chaos, load
            chaos.settle()


def wreak(workers: int, reloads: int, kills: int, say: Callable[[str], object] = print) -> None:
    """All of it. Raises AssertionError when something was lost that must not be."""
    began = time.monotonic()
    with chaos(workers) as (it, load):
        for number in range(reloads):
            it.reload()
            if number % 20 == 19:
                say(f"{number + 1} reloads: {_words(load.count)}")
        it.settle()
        after_reloads = dataclasses.replace(load.count, lost=list(load.count.lost))
        say(f"after {reloads} reloads: {_words(after_reloads)}")
        assert not after_reloads.lost and not after_reloads.refused and not after_reloads.strange, after_reloads
        assert not after_reloads.closed, "a client that was idle for a second at most has lost its connection"
        for _ in range(kills):
            it.kill()
        say(f"after {kills} kills: {_words(load.count)}")
    count = load.count
    say(f"{time.monotonic() - began:.0f} s in all: {_words(count)}")
    assert not count.refused and not count.strange, count
    others = [pid for pid in count.lost if pid is not None and pid not in it.killed]
    assert not others, f"requests to workers that nobody killed were lost: {others}"
    assert len(count.lost) <= kills * (KEEP_ALIVE + ONE_SHOT)


def _words(count: Count) -> str:
    return (
        f"{count.answered} requests answered on {count.connections} connections, {len(count.lost)} lost, "
        f"{count.closed} closed while idle, "
        f"{count.refused} connections refused, {len(count.strange)} strange answers"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--reloads", type=int, default=200)
    parser.add_argument("--kills", type=int, default=50)
    arguments = parser.parse_args()
    wreak(arguments.workers, arguments.reloads, arguments.kills)
