"""Sixty-four pipelining connections hammer the site: every answer is the right one, in order, and nothing is left of them.

A short round by default; ``make hammer`` is the long one, and the environment variable HAMMER_SECONDS says how long.
"""

from __future__ import annotations

import dataclasses
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from pressure import PATIENCE, PLACES, Answer, Ended, Wire, connect, endpoints, get, post, settled

from certificates import Certificate
from harness import Site

SECONDS = float(os.environ.get("HAMMER_SECONDS", "4"))
CONNECTIONS = 64
# Bytes by which the idle process may grow from a third of the time to its end: what the allocator keeps of the busiest moments.
GROWTH = 8 << 20


@dataclasses.dataclass(frozen=True)
class Request:
    """What to send, and what must come back: the check of the whole answer, or None if the connection breaks in the middle of it."""

    kind: str
    data: bytes
    check: Callable[[Answer], bool] | None


def make(dice: random.Random, id: str) -> Request:
    """One of a busy site's requests."""
    kind = dice.choices(
        ["fast", "slow", "stuck", "stream", "long", "large", "file", "upload", "big upload", "head", "fail", "missing", "tear"],
        [400, 60, 4, 60, 4, 20, 20, 40, 4, 20, 10, 10, 10],
    )[0]
    size = dice.randrange(1, 5000)
    if kind in ("fast", "slow", "stuck"):
        seconds = {"fast": 0.0, "slow": 0.003, "stuck": 0.05}[kind]
        target = f"/slow?id={id}&seconds={seconds}" if seconds else f"/fast?id={id}"
        return Request(kind, get(target), lambda answer: (answer.status, answer.id, answer.body) == (200, id, id.encode()))
    if kind in ("stream", "long"):
        pieces = dice.randrange(0, 20) if kind == "stream" else 400
        request = get(f"/stream?id={id}&pieces={pieces}&size={size}")
        return Request(kind, request, lambda answer: (answer.id, len(answer.body)) == (id, pieces * size))
    if kind in ("large", "file"):
        size *= 100
        return Request(kind, get(f"/{kind}?id={id}&size={size}"), lambda answer: (answer.id, len(answer.body)) == (id, size))
    if kind in ("upload", "big upload"):
        body = dice.randbytes(size if kind == "upload" else 600_000)
        return Request(kind, post(f"/echo?id={id}", body), lambda answer: (answer.id, answer.body) == (id, body))
    if kind == "head":
        request = get(f"/fast?id={id}").replace(b"GET", b"HEAD", 1)
        return Request(kind, request, lambda answer: (answer.status, answer.id) == (200, id))
    if kind in ("fail", "missing"):
        return Request(kind, get(f"/{kind}?id={id}"), lambda answer: (answer.status, answer.id) == (500, ""))
    return Request(kind, get(f"/tear?id={id}"), None)


class Hammerer(threading.Thread):
    """One connection after another, with batches of pipelined requests.

    :ivar error: what went wrong.
    :ivar answers: by kind.
    """

    def __init__(self, site: Site, number: int, until: float) -> None:
        super().__init__(daemon=True)
        self._site, self._number, self._until = site, number, until
        self._place = PLACES[number % 8 % 3]  # more of tcp than of the others
        self._dice = random.Random(number)
        self._sent = 0
        self.answers: Counter[str] = Counter()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while time.monotonic() < self._until:
                with connect(self._site, self._place) as wire:
                    while time.monotonic() < self._until and self._batch(wire):
                        pass
        except BaseException as error:
            self.error = error

    def _batch(self, wire: Wire) -> bool:
        """Send some requests and check the answers. False if the connection is over."""
        dice = self._dice
        requests = []
        for _ in range(dice.choice([1, 2, 3, 4, 8, 16])):
            self._sent += 1
            requests.append(make(dice, f"{self._number}-{self._sent}"))
        self._requests = requests
        leaves_after = dice.randrange(len(requests)) if dice.random() < 0.03 else -1
        sender = threading.Thread(target=self._send, args=(wire, requests))
        large = sum(len(request.data) for request in requests) > 100_000
        if large and self._place == "tls":  # no two threads may use its socket at a time
            return all(self._send(wire, [request]) and self._answered(wire, request) for request in requests)
        if large:  # answers may come before all is sent, and must be read
            sender.start()
        else:
            self._send(wire, requests)
        try:
            for position, request in enumerate(requests):
                if position == leaves_after:
                    wire.leave(reset=dice.random() < 0.5)
                    self.answers["left"] += 1
                    return False
                if not self._answered(wire, request):
                    wire.leave()
                    return False
        finally:
            if large:
                sender.join(PATIENCE)
        return True

    def _send(self, wire: Wire, requests: list[Request]) -> bool:
        try:
            wire.send(*(request.data for request in requests))
        except OSError:
            pass  # the connection is over; whoever reads sees it
        return True

    def _answered(self, wire: Wire, request: Request) -> bool:
        if request.check is None:
            try:
                answer = wire.answer()
            except Ended:
                self.answers[request.kind] += 1
                return False
            raise AssertionError(f"{request.data!r} was answered with {answer}")
        if request.kind == "head":
            wire.head()
        try:
            answer = wire.answer()
        except Ended as ended:
            kinds = [one.kind for one in self._requests]
            raise AssertionError(f"{self._place}: {request.data[:80]!r} of {kinds} was not answered: {ended}") from None
        assert request.check(answer), f"{request.data[:200]!r} was answered with {answer}"[:1000]
        self.answers[request.kind] += 1
        return True


def hammer(site: Site, seconds: float) -> Counter[str]:
    """A round; returns how many answers there were of each kind."""
    until = time.monotonic() + seconds
    hammerers = [Hammerer(site, number, until) for number in range(CONNECTIONS)]
    for hammerer in hammerers:
        hammerer.start()
    for hammerer in hammerers:
        hammerer.join(seconds + PATIENCE)
        assert not hammerer.is_alive(), "no answer comes"
    errors = [hammerer.error for hammerer in hammerers if hammerer.error is not None]
    assert not errors, errors
    return sum((hammerer.answers for hammerer in hammerers), Counter[str]())


def test_every_answer_is_right_and_nothing_is_left(tmp_path: Path, certificate: Certificate) -> None:
    with Site("pressing:app", "--threads=8", listen=endpoints(tmp_path, certificate)) as site:
        for place in PLACES:
            with connect(site, place) as wire:
                wire.get("/fast?id=warm")
        threads, descriptors = site.threads, site.descriptors
        memory = []
        for seconds in (SECONDS / 3, 2 * SECONDS / 3):
            answers = hammer(site, seconds)
            settled(site, threads, descriptors)
            memory.append(site.memory)
            print(f"{answers.total()} answers in {seconds:.1f} s: {dict(answers)}; then {memory[-1] >> 10} KiB")
        assert len(answers) == 14, f"not all kinds of requests: {answers}"
        assert memory[1] - memory[0] < GROWTH, f"it grows: {memory}"
