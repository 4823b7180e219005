"""Round after round the broker is killed, the network is cut, a node dies, while all nodes publish: what the docs say is what happens.

`make broker-chaos` has 20 rounds; here it is one, and shorter.
"""

from __future__ import annotations

import os
import resource
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest
import veth
from clusters import EnginePlace, Turning

import redis_server

ROUNDS, AWAY = int(os.environ.get("BROKER_ROUNDS", "1")), float(os.environ.get("BROKER_AWAY", "1"))
DEADLINE = 60.0

# Bytes that the process may be larger after the last round than after the third.
GROWTH = 48 << 20

MISSING = redis_server.missing()
pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


@pytest.fixture
def turning():
    turning = Turning()
    yield turning
    turning.stop()


class Publisher:
    """Publishes one number after the other at a node, until it is told to stop."""

    def __init__(self, node, name):
        self.node, self.name, self.count = node, name, 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._publish, daemon=True)
        self._thread.start()

    def _publish(self):
        while not self._over.wait(0.005):
            self.node.publish("kept", [self.name, self.count])
            self.count += 1

    def stop(self):
        self._over.set()
        self._thread.join(DEADLINE)


def wait(turning, condition, complaint):
    deadline = time.monotonic() + DEADLINE
    while not turning.call(condition):
        assert time.monotonic() < deadline, complaint
        time.sleep(0.05)


def one_round(turning, place, nodes, strike, mend):
    """While they publish, something breaks, and is mended: each subscriber has all that each of them said, or a gap, and nothing twice."""
    readers = [node.reader("kept", messages=100_000) for node in nodes]
    publishers = [Publisher(node, number) for number, node in enumerate(nodes)]
    turning.until(lambda: all(len(reader.payloads) > 20 for reader in readers))
    strike()
    wait(turning, lambda: not any(node.connected for node in nodes), "they do not see that it has gone")
    heard = [len(reader.payloads) for reader in readers]
    time.sleep(AWAY)  # how long it is away
    grown = [len(reader.payloads) for reader in readers]
    assert all(after > before for before, after in zip(heard, grown)), "whoever is at the node of a publisher hears him"
    mend()
    wait(turning, lambda: all(node.connected for node in nodes), "they do not come back")
    for publisher in publishers:
        publisher.stop()
    wait(turning, lambda: all(node.hub.numbers()["broker_waiting"] == 0 for node in nodes), "what waited is not sent")
    for number, node in enumerate(nodes):
        node.publish("kept", [number, publishers[number].count])
    for reader in readers:
        for publisher in publishers:
            last = [publisher.name, publisher.count]
            wait(turning, lambda reader=reader, last=last: last in reader.payloads, f"{last} does not come")
            numbers = [n for who, n in reader.payloads if who == publisher.name]
            assert all(one < other for one, other in pairwise(numbers)), "twice, or out of order"
            if len(numbers) < numbers[-1] - numbers[0] + 1:
                assert any(gap[0] == "kept" for gap in reader.gaps), "some is lost, and nobody says so"
    for reader in readers:
        turning.call(reader.member.leave)
    assert all(turning.call(node.hub.numbers)["broker_dropped"] == 0 for node in nodes)


def a_node_dies(turning, place, nodes):
    watcher = nodes[0].reader("$presence.room")
    node = place.node()
    node.reader("room", who="bob")
    turning.until(lambda: [each["event"] for each in watcher.payloads] == ["join"])
    node.vanish()
    wait(turning, lambda: [each["event"] for each in watcher.payloads] == ["join", "leave"], "whoever was there does not leave")
    turning.call(watcher.member.leave)


def size():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def rounds(turning, place, strike, mend, dies=False):
    nodes = [place.node(), place.node()]
    for node in nodes:
        node.rule("kept", history=10_000)
    sizes = []
    for number in range(ROUNDS):
        one_round(turning, place, nodes, strike, mend)
        if dies:
            a_node_dies(turning, place, nodes)
        sizes.append(size())
        print(f"round {number + 1}: {sizes[-1] >> 20} MiB")
    assert sizes[-1] - sizes[min(2, ROUNDS - 1)] < GROWTH, sizes


def test_the_broker_is_killed_and_comes_back_and_a_node_dies(turning):
    with redis_server.RedisServer() as server:
        place = EnginePlace(turning, server)
        try:
            rounds(turning, place, server.kill, server.start, dies=True)
        finally:
            place.close()


def test_the_network_between_node_and_broker_is_cut(turning):
    with veth.laid(outside=True) as wire:
        number = os.getpid() % (1 << 14)
        here, there = (f"198.18.{number >> 6}.{(number & 63) * 4 + last}" for last in (1, 2))
        veth.run("ip", "address", "add", f"{here}/30", "dev", wire.near)
        wire.ip("address", "add", f"{there}/30", "dev", wire.far)
        with redis_server.RedisServer("--protected-mode", "no", host=there, inside=wire.inside) as server:
            place = EnginePlace(turning, server)

            def link(state):
                return lambda: wire.ip("link", "set", wire.far, state)

            try:
                rounds(turning, place, link("down"), link("up"))
            finally:
                place.close()
