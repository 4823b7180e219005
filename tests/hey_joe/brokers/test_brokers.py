"""What each broker promises: messages, pasts, presence and queues mean the same, whatever carries them between nodes."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from clusters import ENGINES, EnginePlace, MemoryPlace, Turning, missing, server_of

PARAMETERS = [pytest.param(name, marks=[pytest.mark.skipif(bool(missing(name)), reason=missing(name))]) for name in ["memory", *ENGINES]]


@pytest.fixture(scope="module", params=PARAMETERS)
def server(request):
    with server_of(request.param) as server:
        yield server


@pytest.fixture(scope="module")
def turning():
    turning = Turning()
    yield turning
    turning.stop()


@pytest.fixture
def place(server, turning):
    place = MemoryPlace(turning) if server is None else EnginePlace(turning, server)
    yield place
    place.close()


@pytest.fixture
def nodes(place):
    return [place.node(), place.node()]


def until_got(reader, payloads):
    try:
        reader.turning.until(lambda: reader.payloads == payloads)
    except AssertionError:
        assert reader.payloads == payloads


def wait(turning, reader, count):
    """Until it has got so many."""
    try:
        turning.until(lambda: len(reader.payloads) >= count)
    except AssertionError:
        raise AssertionError(f"{len(reader.payloads)} of {count}: {reader.got[-5:]}") from None


def ids_of(reader):
    return [item.id for item in reader.got if hasattr(item, "id")]


# Publishing and subscribing.


def test_a_message_published_anywhere_reaches_each_subscriber_once_and_in_order(nodes, turning):
    readers = [node.reader("a.b", "a.*", process=process) for node in nodes for process in (0, 1)]
    for n in range(50):
        for number, node in enumerate(nodes):
            node.publish("a.b", [number, 0, n], process=0)
            node.publish("a.b", [number, 1, n], process=1)
    for reader in readers:
        wait(turning, reader, 200)
        assert len(reader.payloads) == 200 and not reader.gaps
        for number in (0, 1):
            for process in (0, 1):
                assert [n for who, by, n in reader.payloads if (who, by) == (number, process)] == list(range(50))
        assert ids_of(reader) == ids_of(readers[0])
        assert reader.ids == sorted(set(reader.ids))


@pytest.mark.parametrize(
    ("pattern", "heard"),
    [("x.*", ["x.y"]), ("x.**", ["x.y", "x.y.z"]), ("*.y", ["x.y"]), ("**", ["x", "x.y", "x.y.z"]), ("x", ["x"]), ("*", ["x"])],
)
def test_patterns_mean_the_same(nodes, turning, pattern, heard):
    reader = nodes[0].reader(pattern)
    for topic in ("x", "x.y", "x.y.z"):
        nodes[1].publish(topic, topic)
    wait(turning, reader, len(heard))
    nodes[1].publish("x", "last")
    last = nodes[0].reader("$end")
    assert last.payloads == []
    assert [payload for payload in reader.payloads if payload != "last"] == heard


def test_who_no_longer_subscribes_hears_nothing_and_the_others_do(nodes, turning):
    stays, goes = nodes[0].reader("a"), nodes[0].reader("a")
    nodes[1].publish("a", 1)
    wait(turning, stays, 1)
    wait(turning, goes, 1)
    turning.call(goes.member.unsubscribe, "a")
    nodes[1].publish("a", 2)
    wait(turning, stays, 2)
    assert goes.payloads == [1]
    turning.call(stays.member.leave)
    again = nodes[0].reader("a")
    nodes[1].publish("a", 3)
    wait(turning, again, 1)
    assert stays.payloads == [1, 2] and again.payloads == [3]


def test_payloads_and_names_arrive_as_they_were(nodes, turning):
    payload = {"text": 'Grüße, "quoted"\n\u2028 \U0001f3b8', "n": [1.5, None, True], "long": "x" * 300_000}
    reader = nodes[0].reader("größe.a-b:c@d/e~f+g=h,i")
    nodes[1].publish("größe.a-b:c@d/e~f+g=h,i", payload)
    wait(turning, reader, 1)
    assert reader.payloads == [payload]
    assert abs(reader.got[0].time - time.time()) < 60 and reader.got[0].topic == "größe.a-b:c@d/e~f+g=h,i"


# What was missed.


def test_a_client_comes_back_at_another_node(nodes, turning):
    nodes[0].rule("a", history=10)
    nodes[1].rule("a", history=10)
    before = nodes[0].reader("a")
    nodes[0].publish("a", 1, 2)
    nodes[1].publish("a", 3)
    wait(turning, before, 3)
    turning.call(before.member.leave)
    nodes[1].publish("a", 4)
    nodes[1].ask("position")
    nodes[0].publish("a", 5)
    nodes[0].ask("position")
    first = next(item.id for item in before.got if item.payload == 2)
    after = nodes[1].reader("a", since=first)
    missed = before.payloads[before.payloads.index(2) + 1 :]
    assert after.payloads == [*missed, 4, 5] and not after.gaps


def test_what_is_not_kept_is_a_gap(nodes, turning):
    for node in nodes:
        node.rule("kept", history=2)
    start = nodes[0].ask("position")
    nodes[0].publish("kept", 1, 2, 3, 4)
    nodes[0].publish("lost", 1)
    nodes[0].ask("position")
    kept, lost, silent = (nodes[1].reader(topic, since=start) for topic in ("kept", "lost", "silent"))
    assert kept.payloads == [3, 4] and kept.gaps == [("kept", None, "history")]
    assert lost.payloads == [] and lost.gaps == [("lost", None, "history")]
    assert silent.got == []
    (history,) = [[message.payload for message in nodes[1].ask("history", "kept")]]
    assert history == [3, 4]


def test_a_pattern_has_the_past_of_its_topics_in_order(nodes):
    for node in nodes:
        node.rule("**", history=10)
    start = nodes[0].ask("position")
    for n, topic in enumerate(["p.a", "p.b", "q.a", "p.a"]):
        nodes[0].publish(topic, n)
    nodes[0].ask("position")
    reader = nodes[1].reader("p.*", since=start)
    assert reader.payloads == [0, 1, 3] and not reader.gaps
    both = nodes[1].reader("p.a", "p.*", since=start)
    assert both.payloads == [0, 1, 3]


def test_who_comes_from_another_epoch_has_all_that_is_kept_and_a_gap(nodes):
    nodes[0].rule("a", history=10)
    nodes[0].publish("a", 1, 2)
    nodes[0].ask("position")
    reader = nodes[1].reader("a", since="another-5")
    assert reader.payloads == [1, 2] and reader.gaps == [("a", None, "history")]


def test_old_messages_are_not_kept(nodes, turning):
    nodes[0].rule("a", history=10, age=0.5)
    nodes[0].publish("a", 1)
    start = nodes[0].ask("position")
    turning.until(lambda: nodes[1].branches[0].history("a").addCallback(lambda kept: not kept))
    reader = nodes[1].reader("a", since=start)
    assert reader.got == []


def test_nothing_is_missed_or_twice_between_the_past_and_what_comes(nodes, turning):
    for node in nodes:
        node.rule("a", history=10_000)
    start = nodes[0].ask("position")
    readers = []
    for n in range(300):
        nodes[n % 2].publish("a", n)
        if n % 10 == 0:
            readers.append(turning.call(lambda: __import__("hubs").Reader(nodes[1].branches[0], "a", since=start)))
    for reader in readers:
        wait(turning, reader, 300)
        assert sorted(reader.payloads) == list(range(300)) and not reader.gaps
        assert reader.ids == sorted(reader.ids)


# Presence.


def test_presence_is_that_of_all_nodes(nodes, turning):
    watcher = nodes[0].reader("$presence.room")
    ann, bob = nodes[0].reader("room", who="ann"), nodes[1].reader("room", who="bob")
    again = nodes[1].reader("room", who="ann")
    nobody = nodes[1].reader("room")
    there = {"connections": 4, "who": ["ann", "bob"]}
    turning.until(lambda: nodes[0].branches[0].presence("room").addCallback(lambda found: {**found, "who": sorted(found["who"])} == there))
    wait(turning, watcher, 3)
    told = [(payload["event"], payload["who"]) for payload in watcher.payloads]
    assert Counter(told) == Counter([("join", "ann"), ("join", "bob"), ("join", None)])
    for reader in (ann, bob, again, nobody):
        turning.call(reader.member.leave)
    wait(turning, watcher, 6)
    told = [(payload["event"], payload["who"]) for payload in watcher.payloads[3:]]
    assert Counter(told) == Counter([("leave", "ann"), ("leave", "bob"), ("leave", None)])
    turning.until(lambda: nodes[1].branches[0].presence("room").addCallback(lambda found: found == {"connections": 0, "who": []}))


# Queues.


def workers_of(nodes):
    return [worker for node in nodes for worker in node.workers]


def done_by(nodes):
    return [payload for worker in workers_of(nodes) for payload in worker.payloads]


def test_each_message_of_a_queue_goes_to_one_process_of_one_node(nodes, turning):
    for node in nodes:
        node.serve("q")
    for n in range(100):
        nodes[n % 2].branches[0].enqueue("q", n)
    turning.until(lambda: len(done_by(nodes)) >= 100)
    nodes[0].ask("position")
    assert sorted(done_by(nodes)) == list(range(100))


def test_messages_wait_for_a_consumer_anywhere_in_their_order(nodes, turning):
    for n in range(10):
        nodes[0].branches[0].enqueue("q", n)
    nodes[0].ask("position")
    nodes[1].serve("q", processes=[1])
    turning.until(lambda: len(nodes[1].workers[1].jobs) >= 10)
    assert nodes[1].workers[1].payloads == list(range(10))


def test_what_the_consumer_returns_is_published_and_comes_back_to_who_waits(nodes, turning):
    reader, answers = nodes[0].reader("results"), []
    nodes[1].serve("q")
    nodes[0].branches[1].enqueue("q", 7, "results", 60, lambda *answer: answers.append(answer))
    wait(turning, reader, 1)
    assert reader.payloads == ["did 7"]
    turning.until(lambda: answers == [(True, '"did 7"')])


def test_an_event_is_handled_once_in_all_nodes(nodes, turning):
    for node in nodes:
        node.serve("on orders", "orders.*")
    nodes[0].ask("position")
    turning.until(lambda: all(not node.hub.broker.alone and node.hub.broker._work._known for node in nodes) or nodes[0].hub.broker.alone)
    for n in range(40):
        nodes[n % 2].publish("orders.new", n)
        nodes[n % 2].publish("other", n)
    turning.until(lambda: len(done_by(nodes)) >= 40)
    nodes[1].ask("position")
    assert sorted(done_by(nodes)) == list(range(40))


def test_what_a_node_has_not_begun_is_begun_by_another(nodes, turning):
    first = nodes[0].workers[0]
    first.holding = True
    nodes[0].serve("q", processes=[0])
    for n in range(3):
        nodes[0].branches[0].enqueue("q", n)
    turning.until(lambda: len(first.jobs) == 1)
    nodes[1].serve("q", processes=[1])
    number = first.jobs[0][0]
    turning.call(nodes[0].branches[0].refused, number)
    turning.until(lambda: len(nodes[1].workers[1].jobs) == 3)
    assert sorted(nodes[1].workers[1].payloads) == [0, 1, 2]


def test_what_nobody_begins_in_time_is_lost_and_told(nodes, turning):
    reader = nodes[1].reader("$queue.q")
    nodes[0].branches[0].enqueue("q", 1, expires=0.3)
    wait(turning, reader, 1)
    assert {**reader.payloads[0], "lost": ""} == {"queue": "q", "lost": "", "count": 1, "reason": "expired"}


def test_what_a_process_was_doing_when_it_died_is_lost_and_told(nodes, turning):
    reader = nodes[1].reader("$queue.q")
    nodes[0].workers[0].holding = True
    nodes[0].serve("q", processes=[0])
    nodes[1].branches[0].enqueue("q", 1)
    turning.until(lambda: nodes[0].workers[0].jobs)
    nodes[0].crash_process(0)
    wait(turning, reader, 1)
    assert reader.payloads[0]["reason"] == "died"
    nodes[1].serve("q")
    nodes[1].branches[0].enqueue("q", 2)
    turning.until(lambda: done_by(nodes[1:]) == [2])


def test_a_durable_message_is_begun_again_where_its_process_dies(nodes, turning, place):
    if not place.engine:
        pytest.skip("memory has none")
    nodes[0].workers[0].holding = True
    nodes[0].serve("q", processes=[0])
    nodes[1].branches[0].enqueue("q", 1, key="once")
    turning.until(lambda: nodes[0].workers[0].jobs)
    nodes[0].crash_process(0)
    nodes[1].serve("q")
    turning.until(lambda: done_by(nodes[1:]) == [1])
    (message,) = [message for worker in nodes[1].workers for _, _, message in worker.jobs]
    assert (message.key, message.attempt) == ("once", 2)


def test_a_consumer_that_raises_is_told_and_not_called_again(nodes, turning):
    answers = []
    nodes[0].workers[0].holding = True
    nodes[0].serve("q", processes=[0])
    nodes[1].branches[0].enqueue("q", 1, None, 60, lambda *answer: answers.append(answer))
    turning.until(lambda: nodes[0].workers[0].jobs)
    turning.call(nodes[0].branches[0].failed, nodes[0].workers[0].jobs[0][0], "it broke")
    turning.until(lambda: answers == [(False, "it broke")])
    nodes[1].serve("q")
    nodes[1].branches[0].enqueue("q", 2)
    turning.until(lambda: done_by(nodes[1:]) == [2] or 2 in nodes[0].workers[0].payloads)
    assert Counter(done_by(nodes))[1] == 1
