"""A hub, and branches at the ends of wires that a test steps by hand."""

from __future__ import annotations

import json
from collections import deque

from hendrix.hey_joe.branch import Branch
from hendrix.hey_joe.hub import Hub
from hendrix.hey_joe.message import Gap


class Wire:
    """One end; what is sent waits, as JSON, until the other end is stepped."""

    def __init__(self):
        self.received = self.lost = self.room = None
        self.congested = False
        self.coming = deque()
        self.other = None

    def send(self, message):
        if self.other is not None:
            self.other.coming.append(json.dumps(message))

    def step(self):
        self.received(json.loads(self.coming.popleft()))

    def block(self):
        self.congested = True

    def unblock(self):
        self.congested = False
        self.room()

    def cut(self):
        """Both ends are lost, with what was on its way."""
        for end in (self, self.other):
            end.coming.clear()
            end.other = None
            end.lost()


def wires():
    one, other = Wire(), Wire()
    one.other, other.other = other, one
    return one, other


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Tree:
    """A hub and some processes. What is posted to a reactor is done when the test steps."""

    def __init__(self, processes=1):
        self.clock = Clock()
        self.hub = Hub(self.clock, epoch="e")
        self.posted = deque()
        self.branches, self.wires = [], []
        for _ in range(processes):
            self.add()

    def add(self):
        theirs, ours = wires()
        self.hub.attach(theirs)
        branch = Branch(ours, lambda function, *args: self.posted.append((function, args)))
        self.branches.append(branch)
        self.wires.append((theirs, ours))
        return branch

    @property
    def ends(self):
        return [end for pair in self.wires for end in pair if end.coming]

    def post(self):
        function, args = self.posted.popleft()
        function(*args)

    def settle(self):
        """Until nothing is on its way."""
        while self.posted or self.ends:
            while self.posted:
                self.post()
            for end in self.ends:
                end.step()

    def crash(self, number):
        self.wires[number][1].cut()


class Reader:
    """A subscriber that takes all, or nothing while it is ``full``."""

    def __init__(self, branch, *patterns, who=None, since=None, full=False, **limits):
        self.got, self.cuts, self.full = [], [], full
        self.readies = 0
        self.member = branch.join(self, who, **limits)
        self.position = None
        if patterns:
            self.member.subscribe(dict.fromkeys(patterns, since)).addCallback(self._joined)

    def _joined(self, position):
        self.position = position

    def ready(self):
        self.readies += 1
        if not self.full:
            self.read()

    def read(self, most=1 << 30):
        self.full = False
        for _ in range(most):
            item = self.member.take()
            if item is None:
                return
            self.got.append(item)
        self.full = True

    def cut(self, code, reason):
        self.cuts.append(code)

    @property
    def payloads(self):
        return [item.payload for item in self.got if not isinstance(item, Gap)]

    @property
    def gaps(self):
        return [(item.topic, item.lost, item.reason) for item in self.got if isinstance(item, Gap)]

    @property
    def ids(self):
        return [int(item.id.split("-")[1]) for item in self.got if not isinstance(item, Gap)]
