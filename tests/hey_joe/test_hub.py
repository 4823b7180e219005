"""The hub and its branches: who gets what, in which order, in whatever process, and what happens when something ends."""

from __future__ import annotations

import random

import pytest
from hubs import Reader, Tree
from hypothesis import given, strategies as st

from hendrix.hey_joe import remote
from hendrix.hey_joe.branch import NoHub
from hendrix.hey_joe.message import LARGEST, BadPayload
from hendrix.hey_joe.results import Results
from hendrix.hey_joe.rules import Rule
from hendrix.hey_joe.topics import BadTopic, matches


@pytest.fixture
def tree():
    return Tree(3)


def publish(tree, branch, *payloads, topic="a"):
    for payload in payloads:
        tree.branches[branch].publish(topic, payload)


# Publishing and subscribing.


def test_a_message_reaches_each_subscriber_once_in_whatever_process(tree):
    readers = [Reader(branch, "a", "*") for branch in tree.branches for _ in range(2)]
    other = Reader(tree.branches[0], "b")
    tree.settle()
    publish(tree, 1, 1, 2, {"three": [3]})
    tree.settle()
    assert all(reader.payloads == [1, 2, {"three": [3]}] for reader in readers)
    assert all(reader.ids == [1, 2, 3] for reader in readers)
    assert other.got == []


def test_publishing_returns_before_anything_is_sent(tree):
    reader = Reader(tree.branches[0], "a")
    tree.settle()
    publish(tree, 0, *range(5))
    assert len(tree.posted) == 1  # one wake-up
    assert reader.got == []
    tree.settle()
    assert reader.payloads == list(range(5))


def test_a_message_is_sent_only_where_somebody_hears_it_and_made_once(tree):
    readers = [Reader(tree.branches[1], "a") for _ in range(3)]
    tree.settle()
    publish(tree, 0, "x")
    while tree.posted:
        tree.post()
    tree.wires[0][0].step()
    assert [len(ours.coming) for _, ours in tree.wires] == [0, 1, 0]
    tree.settle()
    first, *others = [reader.got[0] for reader in readers]
    assert all(other is first for other in others)


def test_what_is_published_may_change_afterwards(tree):
    reader = Reader(tree.branches[0], "a")
    tree.settle()
    payload = [1]
    publish(tree, 0, payload)
    payload.append(2)
    tree.settle()
    assert reader.payloads == [[1]]


@pytest.mark.parametrize(
    ("payload", "status", "reason"),
    [
        (object(), 400, "the payload for a cannot be made into JSON: Object of type object is not JSON serializable"),
        (float("nan"), 400, "cannot be made into JSON"),
        ("\ud800", 400, "cannot be made into JSON"),
        ({(1, 2): 3}, 400, "cannot be made into JSON"),
        ("x" * LARGEST, 413, "the payload for a has 1048578 bytes as JSON; 1048576 is the most"),
    ],
)
def test_what_cannot_be_published_is_refused_where_it_is(tree, payload, status, reason):
    with pytest.raises(BadPayload, match=reason) as caught:
        publish(tree, 0, payload)
    assert caught.value.status == status
    assert not tree.posted


def test_topics_are_checked_where_they_are_given(tree):
    with pytest.raises(BadTopic):
        tree.branches[0].publish("a*", 1)
    with pytest.raises(BadTopic):
        tree.branches[0].publish("$presence.a", 1)
    reader = Reader(tree.branches[0])
    with pytest.raises(BadTopic):
        reader.member.subscribe({"good": None, "b..d": None})
    assert reader.member.patterns == set()


def test_a_member_hears_no_more_of_what_it_has_left(tree):
    reader = Reader(tree.branches[0], "a", "b", "a.*")
    tree.settle()
    reader.member.unsubscribe("a", "never")
    tree.settle()
    for topic in ("a", "b", "a.x"):
        publish(tree, 1, topic, topic=topic)
    tree.settle()
    assert reader.payloads == ["b", "a.x"]
    reader.member.leave()
    reader.member.leave()
    publish(tree, 1, 1, topic="b")
    tree.settle()
    assert reader.payloads == ["b", "a.x"]
    assert not tree.hub._listening and tree.hub.numbers()["subscribers"] == 0
    assert tree.branches[0].numbers() == {"members": 0, "waiting": 0}


def test_the_end_of_a_member_overtakes_its_subscription(tree):
    reader = Reader(tree.branches[0], "a")
    reader.member.leave()
    tree.settle()
    publish(tree, 0, 1)
    tree.settle()
    assert reader.got == [] and reader.position is None
    assert not tree.hub._listening and not tree.branches[0]._hearing


def test_a_subscription_without_patterns_is_told_where_it_stands(tree):
    publish(tree, 0, 1)
    reader = Reader(tree.branches[0])
    positions = []
    reader.member.subscribe({}).addCallback(positions.append)
    tree.settle()
    assert positions == ["e-1"]


# History.


def test_who_comes_back_gets_what_was_missed_and_then_the_rest(tree):
    tree.branches[0].rule("a", Rule(history=10))
    old = Reader(tree.branches[1], "a")
    tree.settle()
    publish(tree, 0, *range(3))
    tree.settle()
    new = Reader(tree.branches[1], "a", since="e-1")
    publish(tree, 0, 3)
    tree.settle()
    publish(tree, 2, 4)
    tree.settle()
    assert old.payloads == [0, 1, 2, 3, 4]
    assert new.payloads == [1, 2, 3, 4] and not new.gaps
    assert new.position in ("e-3", "e-4")


def test_what_is_not_known_any_more_is_a_gap_before_the_rest(tree):
    tree.branches[0].rule("a", Rule(history=2))
    publish(tree, 0, *range(4))
    tree.settle()
    reader = Reader(tree.branches[1], "a", since="e-1")
    tree.settle()
    assert [type(item).__name__ for item in reader.got] == ["Gap", "Message", "Message"]
    assert reader.gaps == [("a", None, "history")] and reader.payloads == [2, 3]


def test_each_pattern_may_begin_at_its_own_id_and_all_comes_in_order(tree):
    tree.branches[0].rule("**", Rule(history=10))
    for topic in ("a", "b", "c", "a", "b"):
        publish(tree, 0, topic, topic=topic)
    tree.settle()
    reader = Reader(tree.branches[2])
    reader.member.subscribe({"a": "e-1", "b": "e-0", "c": None})
    tree.settle()
    assert reader.ids == [2, 4, 5]


def test_a_page_knows_where_it_stands(tree):
    tree.branches[0].rule("a", Rule(history=10))
    publish(tree, 1, 1)
    tree.settle()
    found = []
    tree.branches[1].position().addCallback(found.append)
    tree.settle()
    publish(tree, 0, 2)
    tree.settle()
    reader = Reader(tree.branches[0], "a", since=found[0])
    tree.settle()
    assert found == ["e-1"] and reader.payloads == [2]


def test_a_position_comes_after_what_the_process_has_published(tree):
    publish(tree, 0, 1, 2)
    found = []
    tree.branches[0].position().addCallback(found.append)
    tree.settle()
    assert found == ["e-2"]


def test_history_can_be_asked_for(tree):
    tree.branches[0].rule("a", Rule(history=2))
    publish(tree, 0, 1, 2, 3)
    found = []
    tree.branches[1].history("a").addCallback(found.append)
    tree.settle()
    tree.branches[1].history("a").addCallback(found.append)
    tree.settle()
    assert [message.payload for message in found[1]] == [2, 3]


def test_much_history_comes_in_parts(tree):
    tree.branches[0].rule("a", Rule(history=20))
    publish(tree, 0, *["x" * 100_000] * 20)
    tree.settle()
    reader = Reader(tree.branches[1], "a", since="e-0")
    found = []
    tree.branches[1].history("a").addCallback(found.append)
    tree.wires[1][0].step()
    tree.wires[1][0].step()
    assert len(tree.wires[1][1].coming) > 8 and all(len(line) < 500_000 for line in tree.wires[1][1].coming)
    tree.settle()
    assert reader.ids == list(range(1, 21)) and len(found[0]) == 20
    assert not tree.branches[1]._parts


# Presence.


def events(reader):
    return [(payload["event"], payload["who"], payload["connections"]) for payload in reader.payloads]


def test_join_and_leave_are_events_and_a_person_counts_once(tree):
    watcher = Reader(tree.branches[0], "$presence.a")
    tree.settle()
    readers = [Reader(branch, "a", "a.*", who=who) for branch, who in zip(tree.branches, ["ann", "bob", "ann"])]
    Reader(tree.branches[0], "*")  # a pattern is not there
    nobody = Reader(tree.branches[2], "a")
    tree.settle()
    there = []
    tree.branches[1].presence("a").addCallback(there.append)
    tree.settle()
    assert there == [{"connections": 4, "who": ["ann", "bob"]}]
    assert sorted(events(watcher)[:2]) == [("join", "ann", 1), ("join", "bob", 2)] and events(watcher)[2:] == [("join", None, 4)]
    watcher.got.clear()
    readers[0].member.leave()
    nobody.member.leave()
    readers[2].member.unsubscribe("a")
    tree.settle()
    assert sorted(events(watcher), key=str) == sorted([("leave", None, 2), ("leave", "ann", 1)], key=str)
    assert watcher.got[0].topic == "$presence.a"
    assert watcher.got[0].payload["topic"] == "a"


def test_presence_costs_nothing_when_nobody_watches(tree):
    for _ in range(10):
        Reader(tree.branches[0], "a", who="ann")
    tree.settle()
    assert tree.hub.numbers()["published"] == 0


def test_the_tree_says_what_is_there(tree):
    assert tree.hub.describe() == "memory, 0 topics, 0 subscribers"
    Reader(tree.branches[0], "a")
    tree.settle()
    assert tree.hub.describe() == "memory, 1 topic, 1 subscriber"
    Reader(tree.branches[1], "a", "b")
    tree.settle()
    assert tree.hub.describe() == "memory, 2 topics, 2 subscribers"


# What ends, and what is too slow.


def test_membership_ends_with_the_process_and_the_others_go_on(tree):
    watcher = Reader(tree.branches[0], "$presence.a")
    gone, here = Reader(tree.branches[1], "a", who="ann"), Reader(tree.branches[2], "a", who="bob")
    tree.settle()
    watcher.got.clear()
    publish(tree, 1, "on its way")
    tree.crash(1)
    tree.settle()
    assert gone.cuts == [1012] and gone.got == []
    assert events(watcher) == [("leave", "ann", 1)]
    publish(tree, 0, 1)
    tree.settle()
    assert here.payloads == [1]
    assert tree.hub.numbers()["processes"] == 2
    with pytest.raises(NoHub, match="this process is about to end"):
        tree.branches[1].publish("a", 1)
    failures = []
    tree.branches[1].position().addErrback(lambda failure: failures.append(failure.type))
    assert failures == [NoHub]


def test_a_question_that_is_not_answered_any_more_fails(tree):
    failures = []
    tree.branches[1].position().addErrback(lambda failure: failures.append(failure.type))
    tree.crash(1)
    assert failures == [NoHub]


def test_a_process_that_is_behind_misses_messages_and_its_subscribers_hear_of_it(tree, monkeypatch):
    monkeypatch.setattr(remote, "BEHIND", 100)
    slow, fast = Reader(tree.branches[0], "a"), Reader(tree.branches[1], "a")
    tree.settle()
    tree.wires[0][0].block()
    publish(tree, 1, *["x" * 10] * 20)
    tree.settle()
    assert len(fast.got) == 20 and slow.got == []
    tree.wires[0][0].unblock()
    publish(tree, 1, "after")
    tree.settle()
    (gap,) = slow.gaps
    assert gap == ("a", 20 - len(slow.payloads) + 1, "overload")
    assert slow.payloads[-1] == "after" and 5 < len(slow.payloads) < 15
    assert slow.ids == [*range(1, len(slow.ids)), 21]
    assert tree.hub.numbers()["missed"] == gap[1]


def test_what_is_published_faster_than_it_is_sent_is_bounded_and_a_gap(tree):
    branch = tree.branches[0]
    branch._inlet._most = 5
    reader = Reader(tree.branches[1], "a")
    tree.settle()
    publish(tree, 0, *range(8))
    tree.settle()
    publish(tree, 0, 8)
    tree.settle()
    assert reader.gaps == [("a", 3, "overload")] and reader.payloads == [0, 1, 2, 3, 4, 8]


def test_a_branch_whose_hub_is_behind_keeps_what_is_published(tree):
    reader = Reader(tree.branches[1], "a")
    tree.settle()
    tree.wires[0][1].block()
    publish(tree, 0, 1, 2)
    tree.settle()
    assert reader.got == []
    tree.wires[0][1].unblock()
    tree.settle()
    assert reader.payloads == [1, 2]


def test_a_subscriber_that_is_too_slow_holds_nobody_up(tree):
    slow = Reader(tree.branches[0], "a", full=True, messages=3)
    fast = Reader(tree.branches[0], "a", messages=3)
    tree.settle()
    publish(tree, 0, *range(10))
    tree.settle()
    assert fast.payloads == list(range(10))
    slow.read()
    assert slow.gaps == [("a", 7, "slow")] and slow.payloads == [7, 8, 9]


@pytest.mark.parametrize(("policy", "payloads", "cuts"), [("latest", [9], []), ("disconnect", [], [4008])])
def test_the_policy_of_a_topic_is_that_of_its_rule(tree, policy, payloads, cuts):
    tree.branches[0].rule("a", Rule(policy=policy))
    slow = Reader(tree.branches[0], "a", full=True, messages=3)
    tree.settle()
    publish(tree, 1, *range(10))
    tree.settle()
    slow.read()
    assert (slow.payloads, slow.cuts) == (payloads, cuts)


def test_large_messages_go_over_the_uplink_in_several_parts(tree):
    reader = Reader(tree.branches[1], "a", characters=10 << 20)
    tree.settle()
    publish(tree, 0, *["x" * 100_000] * 10)
    while tree.posted:
        tree.post()
    assert len(tree.wires[0][0].coming) > 2
    tree.settle()
    assert reader.ids == list(range(1, 11))


# All of it.


STEP = st.one_of(
    st.tuples(st.just("publish"), st.integers(0, 2), st.sampled_from(["a", "a.x", "b"])),
    st.tuples(st.just("join"), st.integers(0, 2), st.sampled_from([["a"], ["b"], ["a", "a.x"], ["a.*"], ["**"], ["*", "a"]])),
    st.tuples(st.sampled_from(["leave", "read", "return"]), st.integers(0, 5), st.none()),
    st.tuples(st.just("crash"), st.integers(0, 2), st.none()),
    st.tuples(st.sampled_from(["block", "unblock"]), st.integers(0, 5), st.none()),
    st.tuples(st.just("run"), st.integers(1, 6), st.none()),
)


@given(st.lists(STEP, max_size=60), st.integers(0, 1 << 30), st.sampled_from([0, 3, 1000]))
def test_whatever_happens_messages_come_once_in_order_and_losses_are_told(steps, seed, keep):
    tree, luck = Tree(3), random.Random(seed)
    tree.branches[0].rule("**", Rule(history=keep))
    tree.settle()
    readers, alive, published = [], [True] * 3, 0

    def run(count):
        for _ in range(count):
            choices = [end.step for end in tree.ends] + [tree.post] * bool(tree.posted)
            if choices:
                luck.choice(choices)()

    for what, number, more in steps:
        if what == "publish" and alive[number]:
            tree.branches[number].publish(more, [number, published])
            published += 1
        elif what == "join" and alive[number]:
            readers.append(Reader(tree.branches[number], *more, full=luck.random() < 0.2, messages=4))
            readers[-1].process = number
        elif what == "leave" and readers:
            readers[number % len(readers)].member.leave()
        elif what == "read" and readers:
            readers[number % len(readers)].read(luck.randrange(4))
        elif what == "return" and readers and (old := readers[number % len(readers)]).position and alive[old.process]:
            last = old.got[-1].id if old.ids and not old.gaps else old.position
            patterns = list(old.member.patterns)
            old.member.leave()
            if patterns:
                readers.append(Reader(tree.branches[old.process], *patterns, since=last, messages=1000))
                readers[-1].process, readers[-1].since = old.process, last
        elif what == "crash" and alive[number] and sum(alive) > 1:
            alive[number] = False
            tree.crash(number)
        elif what in ("block", "unblock") and alive[number % 3]:
            getattr(tree.wires[number % 3][number // 3], what)()
        elif what == "run":
            run(number)
    for number in range(3):
        if alive[number]:
            for end in tree.wires[number]:
                end.unblock()
    tree.settle()

    # What there was, from a history without limits: here, a reader of all that came first.
    for reader in readers:
        reader.read()
        assert reader.ids == sorted(set(reader.ids))
        for process in range(3):
            numbers = [payload[1] for payload in reader.payloads if payload[0] == process]
            assert numbers == sorted(numbers)
        if reader.cuts or reader.gaps or not alive[reader.process] or reader.position is None:
            continue
        if reader.member.subscriber is not None and keep == 1000:
            start = getattr(reader, "since", None) or reader.position
            messages, _ = tree.hub.broker.kept.after(dict.fromkeys(reader.member.patterns, start))
            assert [message.id for message in messages] == [item.id for item in reader.got]
        assert all(any(matches(pattern, item.topic) for pattern in reader.member.patterns) for item in reader.got)
    there = sum(1 for reader in readers if alive[reader.process] and not reader.member._left)
    assert tree.hub.numbers()["subscribers"] == there


# Results.


def result_of(tree, branch, id):
    found = []
    tree.branches[branch].result("s", id).addCallback(found.append)
    tree.settle()
    return found[0]


def test_a_result_is_read_in_each_process_as_it_is_now(tree):
    tree.branches[0].keep_result("s", "a", {"args": [1], "status": "ready"})
    tree.settle()
    assert [result_of(tree, number, "a") for number in range(3)] == [{"args": [1], "status": "ready"}] * 3
    tree.branches[0].keep_result("s", "a", {"status": "running"})
    tree.branches[0].keep_result("s", "a", {"status": "done"}, 10)
    tree.branches[0].keep_result("s", "a", {"status": "late"}, 10)
    tree.settle()
    assert result_of(tree, 1, "a") == {"args": [1], "status": "done"}
    assert result_of(tree, 1, "b") is None


def test_who_knows_the_id_finds_the_result_that_is_still_on_its_way(tree):
    found = []
    tree.branches[0].keep_result("s", "a", {"status": "ready"})  # its process has not sent it yet
    tree.branches[1].result("s", "a").addCallback(found.append)
    tree.wires[1][0].step()  # the hub is asked before it has heard
    tree.settle()
    assert found == [{"status": "ready"}]


def test_a_process_that_ends_holds_up_nobody_who_asks(tree):
    found = []
    tree.branches[1].result("s", "a").addCallback(found.append)
    tree.wires[1][0].step()
    tree.crash(0)
    tree.settle()
    assert found == [None]


def test_what_a_process_had_under_way_is_lost_with_it_and_what_has_ended_is_not(tree):
    tree.branches[0].keep_result("s", "a", {"status": "running"})
    tree.branches[0].keep_result("s", "b", {"status": "done"}, 10)
    tree.settle()
    tree.crash(0)
    tree.settle()
    assert result_of(tree, 1, "a") == {"status": "running", "lost_at": tree.clock.now}
    assert result_of(tree, 1, "b") == {"status": "done"}


def test_the_results_that_ended_first_go_first():
    results = Results(lambda: 0.0, characters=100)
    for store in ("s", "t"):
        for number in range(5):
            results.put(None, store, str(number), None, "{}")
            results.put(None, store, str(number), 3, "{}")
    assert [bool(results.get("s", str(number))) for number in range(5)] == [False, False, True, True, True]
    assert len(results) == 6
    results.put(None, "t", "large", 3, "x" * 96)
    assert results.get("t", "large")
    assert len(results) == 1
    results.put(None, "t", "under way", None, "x" * 200)
    assert len(results) == 2
