"""Nodes: hubs with two processes each, whose broker is a real one; on a reactor of the tests' own, in a thread."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time

import postgres_server
from hubs import Reader
from twisted.internet.defer import maybeDeferred
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.task import LoopingCall

import redis_server
from hendrix.hey_joe.branch import Branch
from hendrix.hey_joe.brokers.url import broker_of
from hendrix.hey_joe.hub import Hub
from hendrix.hey_joe.rules import Rule
from hendrix.hey_joe.uplink import direct
from hendrix.threads.mailbox import Mailbox

DEADLINE = 30.0
_names = itertools.count()


class Turning:
    """A reactor that runs in a thread."""

    def __init__(self):
        self.reactor = EPollReactor()
        self._thread = threading.Thread(target=self.reactor.run, kwargs={"installSignalHandlers": False}, daemon=True)
        self._thread.start()

    def call(self, function, *arguments):
        """The result of a call on its thread, also when that is a Deferred."""
        done, results = threading.Event(), []

        def ended(result):
            results.append(result)
            done.set()

        self.reactor.callFromThread(lambda: maybeDeferred(function, *arguments).addBoth(ended))
        assert done.wait(DEADLINE), f"{function} does not end"
        if hasattr(results[0], "raiseException"):
            results[0].raiseException()
        return results[0]

    def until(self, condition, complaint=""):
        """Wait until a condition, which is looked at on its thread, is true; its value."""
        deadline = time.monotonic() + DEADLINE
        while not (found := self.call(condition)):
            assert time.monotonic() < deadline, complaint or "that does not come"
            time.sleep(0.01)
        return found

    def stop(self):
        self.reactor.callFromThread(self.reactor.stop)
        self._thread.join(DEADLINE)


class Worker:
    """Does the jobs of a branch, or holds them."""

    def __init__(self, branch):
        self.branch, self.jobs, self.holding = branch, [], False
        branch.jobs = self

    def do(self, number, queue, message, wanted):
        self.jobs.append((number, queue, message))
        if not self.holding:
            self.branch.done(number, f'"did {message.payload_text}"' if wanted else None)

    @property
    def payloads(self):
        return [message.payload for _, _, message in self.jobs]


class Node:
    """A hub and two processes. The one of the test's memory is shared by all nodes.

    :ivar branches: those of the processes.
    """

    def __init__(self, turning, hub):
        self.turning, self.hub, self.wires = turning, hub, []
        self.branches, self.workers = [], []
        self._sweep = LoopingCall(hub.sweep)
        self._sweep.clock = turning.reactor
        turning.call(self._begin)

    def _begin(self):
        if self.hub.broker.alone or self.hub.broker._living is None:
            self.hub.start()
        self._sweep.start(0.2)
        for _ in range(2):
            theirs, ours = direct()
            self.hub.attach(theirs)
            self.branches.append(Branch(ours, Mailbox(self.turning.reactor.callFromThread).post, not self.hub.broker.alone))
            self.wires.append(ours)
            self.workers.append(Worker(self.branches[-1]))

    @property
    def connected(self):
        return self.hub.numbers().get("broker_connected", 1)

    def publish(self, topic, *payloads, process=0):
        for payload in payloads:
            self.branches[process].publish(topic, payload)

    def reader(self, *patterns, process=0, **more):
        """A subscriber that has subscribed."""
        reader = self.turning.call(lambda: Reader(self.branches[process], *patterns, **more))
        if patterns:
            self.turning.until(lambda: reader.position is not None, f"{patterns} are not subscribed to")
        return reader

    def ask(self, question, *arguments, process=0):
        return self.turning.call(getattr(self.branches[process], question), *arguments)

    def rule(self, pattern, **rule):
        for branch in self.branches[:1]:
            self.turning.call(branch.rule, pattern, Rule(**rule))

    def serve(self, queue, pattern=None, places=1, processes=(0, 1)):
        for process in processes:
            self.turning.call(self.branches[process].serve, queue, pattern, places)

    def crash_process(self, process):
        self.turning.call(self.wires[process].close)

    def stop(self):
        self.turning.call(lambda: self._sweep.running and self._sweep.stop())
        self.turning.call(self.hub.stop)

    def vanish(self):
        """As if the machine had lost its power."""
        self.turning.call(self._vanish)

    def _vanish(self):
        if self._sweep.running:
            self._sweep.stop()
        cluster = self.hub.broker
        cluster._closing = True
        cluster.lost("the power is gone")


class MemoryPlace:
    """Where there is no engine: all nodes are one."""

    engine = False

    def __init__(self, turning):
        self.turning = turning
        self._hub = turning.call(Hub)

    def node(self):
        return Node(self.turning, self._hub)

    def close(self):
        self.turning.call(self._hub.stop)


class EnginePlace:
    """
    :param server: of its URL.
    """

    engine = True

    def __init__(self, turning, server):
        self.turning, self.server = turning, server
        self._name = f"test{next(_names)}"
        self._nodes = []

    def node(self, connected=True):
        url = f"{self.server.url}?name={self._name}"
        node = Node(self.turning, self.turning.call(lambda: Hub(broker=broker_of(url, self.turning.reactor))))
        self._nodes.append(node)
        if connected:
            try:
                self.turning.until(lambda: node.connected)
            except AssertionError:
                raise AssertionError(node.hub.describe()) from None
        return node

    def close(self):
        for node in self._nodes:
            node.stop()


ENGINES = {
    "redis": (redis_server.RedisServer, redis_server.missing),
    "postgresql": (postgres_server.PostgresServer, postgres_server.missing),
}


@contextlib.contextmanager
def server_of(engine):
    if engine == "memory":
        yield None
        return
    make, _ = ENGINES[engine]
    with make() as server:
        yield server


def missing(engine):
    return "" if engine == "memory" else ENGINES[engine][1]()
