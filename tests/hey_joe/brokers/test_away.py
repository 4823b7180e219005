"""The engine goes and comes back, or a node does: what is heard meanwhile, what is told, what is kept for later."""

from __future__ import annotations

import time

import pytest
from clusters import ENGINES, EnginePlace, Turning, missing, server_of

PARAMETERS = [pytest.param(name, marks=[pytest.mark.skipif(bool(missing(name)), reason=missing(name))]) for name in ENGINES]


@pytest.fixture(scope="module")
def turning():
    turning = Turning()
    yield turning
    turning.stop()


@pytest.fixture(params=PARAMETERS)
def place(request, turning):
    with server_of(request.param) as server:
        place = EnginePlace(turning, server)
        yield place
        place.close()


@pytest.fixture
def nodes(place):
    return [place.node(), place.node()]


def away(turning, nodes):
    turning.until(lambda: not any(node.connected for node in nodes), "the nodes do not see that it has gone")


def back(turning, nodes):
    turning.until(lambda: all(node.connected for node in nodes), "the nodes do not come back")


def got(turning, reader, count):
    try:
        turning.until(lambda: len(reader.payloads) >= count)
    except AssertionError:
        raise AssertionError(f"{len(reader.payloads)} of {count}: {reader.got[-5:]}") from None


def test_a_node_for_itself_goes_on_and_sends_what_waits_when_the_engine_is_back(place, nodes, turning):
    for node in nodes:
        node.rule("a", history=100)
    here, there = nodes[0].reader("a"), nodes[1].reader("a")
    other = nodes[1].reader("b")
    nodes[0].publish("a", 0)
    got(turning, here, 1)
    got(turning, there, 1)
    place.server.kill()
    away(turning, nodes)
    assert "away for" in turning.call(nodes[0].hub.describe)
    began = time.monotonic()
    nodes[0].publish("a", 1, 2, 3)
    assert time.monotonic() - began < 1
    got(turning, here, 4)
    assert there.payloads == [0]
    newcomer = nodes[0].reader("a")
    place.server.start()
    back(turning, nodes)
    got(turning, there, 4)
    nodes[1].publish("a", 4)
    for reader in (here, there):
        got(turning, reader, 5)
        assert reader.payloads == [0, 1, 2, 3, 4] and ("a", None, "broker") in reader.gaps
    got(turning, newcomer, 1)
    assert newcomer.payloads == [4]
    turning.until(lambda: ("b", None, "broker") in other.gaps)


def test_what_waits_for_the_engine_is_bounded_and_counted_and_told(place, nodes, turning, monkeypatch):
    for node in nodes:
        node.rule("a", history=1000)
    here, there = nodes[0].reader("a"), nodes[1].reader("a", messages=10_000)
    place.server.kill()
    away(turning, nodes)
    turning.call(lambda: setattr(nodes[0].hub.broker._out, "_most", 100))
    nodes[0].publish("a", *range(250))
    got(turning, here, 250)
    numbers = turning.call(nodes[0].hub.numbers)
    assert (numbers["broker_waiting"], numbers["broker_dropped"]) == (100, 150)
    place.server.start()
    back(turning, nodes)
    got(turning, there, 100)
    turning.until(lambda: {("a", 150, "overload"), ("a", None, "broker")} & set(there.gaps))
    assert there.payloads == list(range(100))
    turning.until(lambda: nodes[0].hub.numbers()["broker_waiting"] == 0)  # what was heard may not have been confirmed yet


def test_an_engine_that_was_only_out_of_reach_makes_up_for_what_is_kept(place, nodes, turning):
    for node in nodes:
        node.rule("kept", history=1000)
    kept, lost, silent = (nodes[1].reader(topic) for topic in ("kept", "lost", "silent"))
    nodes[0].publish("kept", 0)
    got(turning, kept, 1)
    place.server.freeze()
    away(turning, nodes)
    nodes[0].publish("kept", *range(1, 50))
    nodes[0].publish("lost", 1)
    place.server.thaw()
    back(turning, nodes)
    got(turning, kept, 50)
    assert kept.payloads == list(range(50)) and not kept.gaps
    turning.until(lambda: lost.payloads or lost.gaps)  # whoever came back first
    assert silent.got == []


def test_presence_and_queues_are_there_again_after_the_engine_has_lost_everything(place, nodes, turning):
    nodes[0].reader("room", who="ann")
    nodes[1].reader("room", who="bob")
    nodes[1].serve("q")
    place.server.kill()
    away(turning, nodes)
    there = turning.call(nodes[0].branches[0].presence, "room")
    assert there == {"connections": 1, "who": ["ann"]}
    nodes[0].reader("room", who="cid")
    for n in range(5):
        nodes[0].branches[0].enqueue("q", n)
    place.server.start()
    back(turning, nodes)
    done = [worker.payloads for worker in nodes[1].workers]
    turning.until(lambda: sorted(nodes[1].workers[0].payloads + nodes[1].workers[1].payloads) == list(range(5)), str(done))

    def both(found):
        return found["connections"] == 3 and sorted(found["who"]) == ["ann", "bob", "cid"]

    turning.until(lambda: nodes[1].branches[0].presence("room").addCallback(both))


def test_a_node_that_dies_is_not_there_any_more_and_its_durable_work_goes_to_another(nodes, turning):
    watcher = nodes[0].reader("$presence.room", "$queue.*")
    nodes[1].reader("room", who="bob")
    got(turning, watcher, 1)
    nodes[1].workers[0].holding = True
    nodes[1].serve("q", places=2, processes=[0])
    nodes[0].branches[0].enqueue("q", "twice", key="k")
    nodes[0].branches[0].enqueue("q", "once")
    turning.until(lambda: len(nodes[1].workers[0].jobs) == 2)
    nodes[0].serve("q")
    nodes[1].vanish()
    got(turning, watcher, 3)
    told = {payload.get("event") or payload.get("reason"): payload for payload in watcher.payloads[1:]}
    assert told["leave"] == {"topic": "room", "event": "leave", "who": "bob", "connections": 0}
    assert (told["died"]["queue"], told["died"]["count"]) == ("q", 1)
    turning.until(lambda: nodes[0].workers[0].jobs + nodes[0].workers[1].jobs)
    ((_, _, message),) = nodes[0].workers[0].jobs + nodes[0].workers[1].jobs
    assert (message.payload, message.key, message.attempt) == ("twice", "k", 2)
    assert turning.call(nodes[0].branches[0].presence, "room") == {"connections": 0, "who": []}


def test_a_node_that_leaves_tells_so_at_once(nodes, turning):
    watcher = nodes[0].reader("$presence.room")
    nodes[1].reader("room", who="bob")
    got(turning, watcher, 1)
    nodes[1].publish("last", 1)
    nodes[1].stop()
    got(turning, watcher, 2)
    assert watcher.payloads[1]["event"] == "leave"


def test_a_node_of_another_version_is_told_of(nodes, turning):
    reader = nodes[0].reader("a")
    out = nodes[1].hub.broker._out
    add = out.add

    def of_another(*arguments, **more):
        publication = add(*arguments, **more)
        out._waiting[-1] = publication._replace(body=publication.body.replace("[1,", "[7,", 1))
        return publication

    turning.call(lambda: setattr(out, "add", of_another))
    nodes[1].publish("a", 1)
    turning.until(lambda: nodes[0].hub.numbers()["broker_misunderstood"] == 1)
    assert "a node sends messages of version 7, and speaks version 1" in turning.call(nodes[0].hub.describe)
    turning.call(lambda: setattr(out, "add", add))
    nodes[1].publish("a", 2)
    got(turning, reader, 1)
    assert reader.payloads == [2]


def test_there_may_be_no_engine_when_a_node_begins(place, turning):
    place.server.kill()
    node = place.node(connected=False)
    reader = node.reader("a")
    node.publish("a", 1)
    got(turning, reader, 1)
    place.server.start()
    back(turning, [node])
    node.publish("a", 2)
    got(turning, reader, 2)
    assert reader.payloads == [1, 2]
