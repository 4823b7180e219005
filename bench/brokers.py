#!/usr/bin/env python3
"""Messages from node to node through a broker, beside channels_redis on the same Redis: python bench/brokers.py. See README.md."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import machine
from goals import Goal
from realtime import redis

OURS, CHANNELS, PUBSUB = "hendrix", "channels_redis", "channels_redis, pub/sub"
KINDS = (OURS, CHANNELS, PUBSUB)
TIMES = 5  # ahead of channels_redis
TOPIC, TEXT = "bench", "x" * 100
TOGETHER = 100  # messages that channels_redis is given at a time
PAUSE = 0.005  # seconds between two messages whose time is taken
PATIENCE = 60.0
LAYERS = {CHANNELS: "channels_redis.core.RedisChannelLayer", PUBSUB: "channels_redis.pubsub.RedisPubSubChannelLayer"}


@dataclass(frozen=True)
class Carried:
    """
    :ivar rate: messages in a second from one node to another, as fast as they go.
    :ivar p99: milliseconds for one, where there are few.
    :ivar p50: the median of the same.
    """

    rate: float
    p99: float
    p50: float


def measure(kind: str, url: str, cores: tuple[int, int], count: int, timed: int) -> Carried:
    """One kind, with a process at each end. Raises ValueError where it does not do what it should."""
    ends = []
    for role, core in zip(("hear", "say"), cores):
        words = ["taskset", "-c", str(core), sys.executable, __file__, "--end", role, kind, url, str(count), str(timed)]
        ends.append(subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    hearing, saying = ends
    try:
        for end in ends:
            assert end.stdout is not None
            if end.stdout.readline() != "ready\n":
                end.kill()
                raise ValueError(end.communicate()[1][-300:])
        saying.stdin.write("go\n")  # type: ignore[union-attr]
        saying.stdin.flush()  # type: ignore[union-attr]
        said, words = hearing.communicate(timeout=PATIENCE)
        if not said:
            raise ValueError(words[-300:] or "nothing was heard")
        return Carried(*json.loads(said))
    except subprocess.TimeoutExpired:
        raise ValueError(f"not all was heard within {PATIENCE:g} s") from None
    finally:
        for end in ends:
            end.kill()
            end.communicate()


def run(cores: tuple[int, int], *, quick: bool = False, fault: Callable[[str], None] = print) -> dict[str, Carried]:
    """Measure all; about a minute. `fault` hears of what could not be measured."""
    found: dict[str, Carried] = {}
    count, timed, rounds = (2_000, 100, 1) if quick else (20_000, 1_000, 3)
    with redis(cores[0]) as (store, url):
        if store is None:
            fault("brokers: redis-server is not installed; on Debian: apt-get install redis-server")
            return found
        for kind in KINDS:
            if kind != OURS and machine.version("channels-redis") is None:
                fault(f"{kind}: not installed")
                continue
            try:
                every = [measure(kind, url, cores, count, timed) for _ in range(rounds)]
            except (OSError, ValueError) as error:
                fault(f"{kind}, broker: {error}")
                continue
            found[kind] = each = Carried(*(statistics.median(getattr(one, name) for one in every) for name in ("rate", "p99", "p50")))
            print(f"   {kind:24s} {each.rate:8.0f} messages/s   p50 {each.p50:6.2f} ms   p99 {each.p99:6.2f} ms", flush=True)
    return found


def judge(found: dict[str, Carried]) -> list[Goal]:
    """The goals of brokers, with their verdicts; the better of the layers of channels_redis counts."""
    texts = [
        f"messages per second between nodes on Redis: at least {TIMES} times channels_redis",
        "p99 between nodes on Redis: below channels_redis",
    ]
    theirs = [found[kind] for kind in (CHANNELS, PUBSUB) if kind in found]
    if OURS not in found or not theirs:
        return [Goal(text) for text in texts]
    ours, rate, p99 = found[OURS], max(each.rate for each in theirs), min(each.p99 for each in theirs)
    return [
        Goal(texts[0], f"{ours.rate:,.0f}, {ours.rate / rate:.1f} times {rate:,.0f}", ours.rate >= TIMES * rate),
        Goal(texts[1], f"{ours.p99:.2f} ms, theirs {p99:.2f} ms", ours.p99 < p99),
    ]


# What runs at an end.


class Heard:
    """Takes what comes: first the many, then those whose time is taken; prints the result when it has all."""

    def __init__(self, count: int, timed: int) -> None:
        self._count, self._timed = count, timed
        self._came: list[tuple[float, float]] = []

    def take(self, sent: float) -> bool:
        """True with the last one."""
        self._came.append((sent, time.monotonic()))
        if len(self._came) < self._count + self._timed:
            return False
        many, single = self._came[: self._count], self._came[self._count :]
        times = sorted(1000 * (came - sent) for sent, came in single)
        rate = self._count / (many[-1][1] - many[0][0])
        print(json.dumps([rate, times[int(len(times) * 0.99)], times[len(times) // 2]]), flush=True)
        return True


def node(role: str, url: str, count: int, timed: int) -> None:
    """A hub of hendrix with one process."""
    from twisted.internet import reactor as running
    from twisted.internet.defer import Deferred
    from twisted.internet.task import deferLater

    from hendrix.hey_joe.branch import Branch
    from hendrix.hey_joe.brokers.url import broker_of
    from hendrix.hey_joe.hub import Hub
    from hendrix.hey_joe.uplink import direct
    from hendrix.threads.mailbox import Mailbox

    reactor: Any = running
    hub = Hub(broker=broker_of(url, reactor))
    theirs, ours = direct()
    heard = Heard(count, timed)

    class Reader:
        def __init__(self, branch: Branch) -> None:
            self.member = branch.join(self, None, messages=1_000_000)
            self.member.subscribe({TOPIC: None}).addCallback(lambda _: print("ready", flush=True))

        def ready(self) -> None:
            while (item := self.member.take()) is not None:
                if heard.take(item.payload["sent"]):
                    reactor.stop()

        def cut(self, code: int, reason: str) -> None:
            raise SystemExit(reason)

    async def live() -> None:
        hub.start()
        hub.attach(theirs)
        branch = Branch(ours, Mailbox(reactor.callFromThread).post, True)
        while not hub.numbers()["broker_connected"]:
            await deferLater(reactor, 0.01)
        if role == "hear":
            Reader(branch)
            return
        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(count):
            branch.publish(TOPIC, {"sent": time.monotonic(), "text": TEXT})
            if number % 1000 == 999:
                await deferLater(reactor, 0)
        while hub.numbers()["broker_waiting"]:
            await deferLater(reactor, 0.01)
        await deferLater(reactor, 0.5)
        for _ in range(timed):
            branch.publish(TOPIC, {"sent": time.monotonic(), "text": TEXT})
            await deferLater(reactor, PAUSE)

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(live()).addErrback(lambda failure: failure.printTraceback()))
    reactor.run()


async def layer(role: str, kind: str, url: str, count: int, timed: int) -> None:
    """A channel layer."""
    from importlib import import_module

    module, _, name = LAYERS[kind].rpartition(".")
    layer = getattr(import_module(module), name)(hosts=[url], capacity=1_000_000, **({"expiry": 600} if kind == CHANNELS else {}))
    if role == "hear":
        channel, heard = await layer.new_channel(), Heard(count, timed)
        await layer.group_add(TOPIC, channel)
        print("ready", flush=True)
        while not heard.take((await layer.receive(channel))["sent"]):
            pass
        return
    print("ready", flush=True)
    sys.stdin.readline()

    def send() -> Any:
        return layer.group_send(TOPIC, {"type": TOPIC, "sent": time.monotonic(), "text": TEXT})

    for _ in range(0, count, TOGETHER):
        await asyncio.gather(*(send() for _ in range(TOGETHER)))
    await asyncio.sleep(0.5)
    for _ in range(timed):
        await send()
        await asyncio.sleep(PAUSE)


def end(role: str, kind: str, url: str, count: str, timed: str) -> None:
    if kind == OURS:
        node(role, url, int(count), int(timed))
    else:
        asyncio.run(layer(role, kind, url, int(count), int(timed)))


def main() -> int:
    """Measure and print; 1 if a goal was missed and ``--strict`` was given."""
    if sys.argv[1:2] == ["--end"]:
        sys.path.insert(0, str(Path(__file__).parent))
        end(*sys.argv[2:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-q", "--quick", action="store_true", help="rough figures, to see that it works")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a goal is missed")
    options = parser.parse_args()
    goals = judge(run(machine.two_cores(), quick=options.quick))
    for goal in goals:
        print(f"{goal.text}: {goal.figures or '-'}: {'not measured' if goal.met is None else 'met' if goal.met else 'MISSED'}")
    return int(options.strict and not all(goal.met for goal in goals))


if __name__ == "__main__":
    sys.exit(main())
