"""A hub, a clock, and siblings between them."""

from __future__ import annotations

from twisted.internet.task import Clock

from hendrix.channel.private import PrivateEndpoint
from hendrix.hey_joe.branch import Branch
from hendrix.hey_joe.declared import Event
from hendrix.hey_joe.hub import Hub
from hendrix.hey_joe.message import Message
from hendrix.hey_joe.uplink import direct
from hendrix.siblings.context import Context


class House:
    """Without a reactor: what is published is heard at once."""

    def __init__(self):
        self.clock = Clock()
        self.hub = Hub()
        theirs, ours = direct()
        self.hub.attach(theirs)
        self.branch = Branch(ours, lambda call, *arguments: call(*arguments))
        self.heard, self.doors = [], {}
        self.member = self.branch.join(self)
        self.member.subscribe({"**": None})

    def private(self, name):
        return self.doors.setdefault(name, PrivateEndpoint(self.clock, name, name))

    def context(self, name="sibling"):
        return Context(name, self.clock, None, lambda: self.branch, lambda: None, self.private)

    def ready(self):
        while (item := self.member.take()) is not None:
            self.heard.append(Event.of(item) if isinstance(item, Message) else item)

    def cut(self, code, reason):
        pass

    @property
    def payloads(self):
        return [(event.topic, event.payload) for event in self.heard]
