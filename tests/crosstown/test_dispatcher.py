"""The rules of the dispatcher, on a crew that is stepped by hand."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest
from crew import Response, pair

from hendrix.crosstown import around as module
from hendrix.crosstown.gate import DEFAULT, parse
from hendrix.crosstown.task import CANCELLED, DONE, FAILED, NO_GO, Task
from hendrix.crosstown.traffic import crosstown_traffic


@pytest.fixture
def trail():
    return []


@pytest.fixture
def make(trail):
    def make(name, function=None, **options):
        return Task(lambda: (trail.append(name), function() if function else None)[1], name, parse(DEFAULT), **options)

    return make


def go(dispatcher, response):
    response.out = True
    dispatcher.follow(response, serving=True)


# Rule 1: order.


def test_tasks_start_in_decorated_order(make, trail):
    crew, dispatcher, response = pair(threads=2)
    for name in "abcdef":
        dispatcher.queue(response, make(name))
    assert not crew.jobs, "nothing starts before the response is out"
    go(dispatcher, response)
    assert len(crew.jobs) == 2
    crew.step_all()
    assert trail == list("abcdef")
    assert (dispatcher.counts.done, dispatcher.idle) == (6, True)


def test_same_thread_tasks_run_here_one_after_another(make, trail):
    crew, dispatcher, response = pair()
    threads = []
    for name in "abc":
        dispatcher.queue(response, make(name, lambda: threads.append(threading.get_ident()), same_thread=True))
    go(dispatcher, response)
    assert trail == ["a", "b", "c"] and set(threads) == {threading.get_ident()} and not crew.jobs


def test_a_same_thread_task_holds_up_only_same_thread_tasks(make, trail):
    crew, dispatcher, response = pair()
    seen = []
    a = make("a", lambda: seen.append(len(crew.jobs)), same_thread=True)
    b, c, d = make("b"), make("c", lambda: seen.append(len(crew.jobs)), same_thread=True), make("d")
    for task in (a, b, c, d):
        dispatcher.queue(response, task)
    go(dispatcher, response)
    assert seen == [1, 2], "b waits for nobody while a runs, d only for c's start"
    crew.step_all()
    assert trail == ["a", "c", "b", "d"]
    assert a.started <= b.started and c.started <= d.started


def test_serial_tasks_run_one_after_another_and_the_others_beside_them(make, trail):
    crew, dispatcher, response = pair(threads=9)
    tasks = [make(name, serial=name.isupper()) for name in "AbCdE"]
    for task in tasks:
        dispatcher.queue(response, task)
    go(dispatcher, response)
    assert len(crew.jobs) == 3, "A, b and d; C waits for A, E for C"
    crew.step()
    assert trail == ["A"] and len(crew.jobs) == 3
    crew.step_all()
    assert trail == ["A", "b", "d", "C", "E"]
    assert dispatcher.idle


def test_a_cancelled_serial_task_does_not_strand_the_next(make, trail):
    crew, dispatcher, response = pair(threads=1)
    first, second, third, fourth = (make(name, serial=True) for name in "abcd")
    for task in (first, second, third, fourth):
        dispatcher.queue(response, task)
    go(dispatcher, response)
    assert first.cancel() and third.cancel()
    crew.step_all()
    assert trail == ["b", "d"] and dispatcher.counts.cancelled == 2 and dispatcher.idle


def test_a_serial_task_that_fails_does_not_strand_the_next(make, trail):
    crew, dispatcher, response = pair()
    for name in "ab":
        dispatcher.queue(response, make(name, lambda: 1 / 0, serial=True))
    go(dispatcher, response)
    crew.step_all()
    assert trail == ["a", "b"] and dispatcher.counts.failed == 2 and dispatcher.idle


def test_a_long_chain_of_serial_tasks_that_found_no_room(make, trail):
    crew, dispatcher, response = pair(threads=1, queue=1)
    other = Response(dispatcher)
    dispatcher.queue(other, make("busy"))
    dispatcher.queue(other, make("waits"))
    dispatcher.follow(other)
    for number in range(3000):
        dispatcher.queue(response, make(number, serial=True))
    go(dispatcher, response)
    assert trail[0] == 0, "the first found no room, and ran here"
    crew.step_all()
    assert [entry for entry in trail if isinstance(entry, int)] == list(range(3000))
    assert dispatcher.idle


def test_a_serial_task_queued_later_waits_for_the_one_before(make, trail):
    crew, dispatcher, response = pair()
    dispatcher.queue(response, make("a", serial=True))
    go(dispatcher, response)
    response.follow_with(make("b", serial=True))
    assert len(crew.jobs) == 1
    crew.step_all()
    assert trail == ["a", "b"]


def test_a_same_thread_task_that_comes_late_does_not_hold_up_its_author(make, trail):
    crew, dispatcher, response = pair()
    go(dispatcher, response)
    for name in "ab":
        response.follow_with(make(name, same_thread=True))
    assert trail == [] and len(crew.jobs) == 1
    crew.step_all()
    assert trail == ["a", "b"]


# Nesting.


@pytest.mark.parametrize("options", [{}, {"same_thread": True}, {"serial": True}], ids=["crew", "same_thread", "serial"])
@pytest.mark.parametrize("outer", [{}, {"same_thread": True}, {"serial": True}], ids=["in crew", "in same_thread", "in serial"])
def test_a_task_queued_in_a_task_starts_when_that_has_ended(trail, outer, options):
    crew, dispatcher, response = pair()

    def inner(name):
        crosstown_traffic.run(trail.append, f"run {name}")

        @crosstown_traffic(**options)
        def innermost():
            trail.append(name)

    with response:

        @crosstown_traffic(**outer)
        def first():
            trail.append("first begins")
            for name in ("x", "y"):
                inner(name)
            assert not crew.jobs
            trail.append("first ends")

    go(dispatcher, response)
    crew.step_all()
    assert trail[:2] == ["first begins", "first ends"]
    assert sorted(trail[2:]) == ["run x", "run y", "x", "y"]
    assert [entry for entry in trail if entry in "xy"] == ["x", "y"]
    assert first.state == DONE and dispatcher.idle and dispatcher.counts.done == 5


def test_the_gate_stops_what_a_task_queues_too(trail):
    crew, dispatcher, response = pair(code="404")
    with response:

        @crosstown_traffic(no_go_status_codes=[])
        def outer():
            trail.append(crosstown_traffic(lambda: trail.append("never")))

    go(dispatcher, response)
    crew.step_all()
    assert [task.state for task in trail] == [NO_GO]


# Rule 2: room.


def test_no_more_than_so_many_at_a_time_and_nothing_is_dropped(make, trail):
    crew, dispatcher, response = pair(threads=2, queue=3)
    for name in "abcdefgh":
        dispatcher.queue(response, make(name))
    go(dispatcher, response)
    assert len(crew.jobs) == 2 and dispatcher.waiting == 3
    assert trail == ["f", "g", "h"] and dispatcher.counts.overflowed == 3, "those that found no room ran here"
    crew.step_all()
    assert trail == list("fghabcde") and dispatcher.idle


def test_a_job_that_follows_runs_its_first_task_before_those_that_find_no_room(make, trail):
    crew, dispatcher, response = pair(threads=2, queue=3)
    for name in "abcdefgh":
        dispatcher.queue(response, make(name))
    dispatcher.is_out(response)
    crew.step()
    assert trail == ["a", "g", "h"] and dispatcher.counts.overflowed == 2 and dispatcher.waiting == 3
    crew.step_all()
    assert trail == list("aghbcdef") and dispatcher.idle


def test_a_place_stands_in_line_again_after_each_task(make, trail):
    crew, dispatcher, response = pair(threads=1)
    for name in "ab":
        dispatcher.queue(response, make(name))
    go(dispatcher, response)
    crew.step()
    assert trail == ["a"] and len(crew.jobs) == 1
    crew.step()
    assert trail == ["a", "b"] and not crew.jobs


# Rule 3: failure.


@pytest.mark.parametrize("same_thread", [False, True])
def test_a_task_that_raises_is_reported_and_the_next_runs(make, trail, same_thread):
    crew, dispatcher, response = pair(title="POST /order")
    reported = []
    dispatcher.on_error = lambda task, error: reported.append((task.name, task.origin, type(error)))
    for name, function in (("a", lambda: 1 / 0), ("b", lambda: exit(3)), ("c", None)):
        dispatcher.queue(response, make(name, function, same_thread=same_thread))
    go(dispatcher, response)
    crew.step_all()
    assert trail == ["a", "b", "c"]
    assert reported == [("a", "POST /order", ZeroDivisionError), ("b", "POST /order", SystemExit)]
    assert (dispatcher.counts.failed, dispatcher.counts.done) == (2, 1)


def test_a_hook_that_raises_harms_nobody(make, trail):
    crew, dispatcher, response = pair()
    dispatcher.on_error = lambda task, error: 1 / 0
    for name in "ab":
        dispatcher.queue(response, make(name, lambda: 1 / 0))
    go(dispatcher, response)
    crew.step_all()
    assert trail == ["a", "b"] and dispatcher.idle


def test_what_surrounds_a_task_is_entered_and_left_on_its_thread(make, trail, monkeypatch):
    @contextlib.contextmanager
    def manager(task):
        trail.append(f"before {task.name}")
        yield
        trail.append(f"after {task.name}")

    monkeypatch.setattr(module, "around", [manager])
    crew, dispatcher, response = pair()
    dispatcher.queue(response, make("a"))
    go(dispatcher, response)
    crew.step_all()
    assert trail == ["before a", "a", "after a"]


def test_a_task_that_what_surrounds_it_keeps_from_running_has_failed(make, trail, monkeypatch):
    monkeypatch.setattr(module, "around", [lambda task: 1 / 0])
    crew, dispatcher, response = pair()
    task = make("a")
    dispatcher.queue(response, task)
    go(dispatcher, response)
    crew.step_all()
    assert trail == [] and task.state == FAILED and isinstance(task.error, ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        task.result(0)
    assert (dispatcher.counts.failed, dispatcher.counts.done, dispatcher.idle) == (1, 0, True)


# The gate.


@pytest.mark.parametrize(
    ("code", "failed", "runs"),
    [("200", False, True), ("302", False, True), ("404", False, False), ("503", False, False), ("", False, False), ("200", True, False)],
)
def test_the_gate_sees_the_status_and_an_application_that_raises_counts_as_500(make, trail, code, failed, runs):
    crew, dispatcher, response = pair(code=code)
    response.failed = failed
    task = make("a")
    dispatcher.queue(response, task)
    dispatcher.queue(response, Task(lambda: trail.append("open"), "open", parse([])))
    go(dispatcher, response)
    crew.step_all()
    assert trail == (["a", "open"] if runs else ["open"])
    assert task.state == (DONE if runs else NO_GO) and dispatcher.counts.gated == (not runs) and dispatcher.idle


def test_a_stopped_task_that_raises_holds_up_nobody(make, trail):
    class Loud(Task):
        def stop(self, code):
            super().stop(code)
            raise LookupError("whoever hears of it")

    crew, dispatcher, response = pair(threads=1)
    dispatcher.queue(response, make("a"))
    dispatcher.queue(response, loud := Loud(list, "loud", parse(["200"])))
    dispatcher.queue(response, make("b"))
    dispatcher.is_out(response)
    crew.step_all()
    assert trail == ["a", "b"] and loud.state == NO_GO and dispatcher.counts.gated == 1 and dispatcher.idle


def test_a_client_that_left_stops_only_what_says_so(make, trail):
    crew, dispatcher, response = pair()
    response.gone = True
    skipped = make("skip", on_disconnect="skip")
    dispatcher.queue(response, skipped)
    dispatcher.queue(response, make("run"))
    go(dispatcher, response)
    crew.step_all()
    assert trail == ["run"] and skipped.state == CANCELLED and dispatcher.counts.cancelled == 1 and dispatcher.idle


def test_plain_callables_are_tasks(trail):
    crew, dispatcher, response = pair()
    response.after += [lambda: trail.append("plain"), "no callable", lambda: trail.append("next")]
    go(dispatcher, response)
    crew.step_all()
    assert trail == ["plain", "next"] and dispatcher.counts.failed == 1


# The response is out: a job of the crew follows it.


def test_the_first_task_runs_on_the_thread_that_follows(make, trail):
    crew, dispatcher, response = pair(threads=1)
    for name in "abc":
        dispatcher.queue(response, make(name))
    dispatcher.is_out(response)
    assert len(crew.jobs) == 1 and not trail and not dispatcher.idle
    crew.step()
    assert trail == ["a"] and len(crew.jobs) == 1 and dispatcher.waiting == 1
    crew.step_all()
    assert trail == ["a", "b", "c"] and dispatcher.counts.done == 3 and dispatcher.idle


def test_it_has_begun_before_the_next_may(make, trail):
    crew, dispatcher, response = pair(threads=2)
    begun, release = threading.Event(), threading.Event()
    first, second = make("first", lambda: (begun.set(), release.wait(30))), make("second")
    for task in (first, second):
        dispatcher.queue(response, task)
    dispatcher.is_out(response)
    thread = crew.step_aside()
    begun.wait(30)
    crew.step_all()
    assert trail == ["first", "second"] and first.started <= second.started
    response.out = True
    response.follow_with(make("late"))  # whoever comes while the first runs waits for nobody
    crew.step_all()
    assert trail == ["first", "second", "late"]
    release.set()
    thread.join(30)
    assert dispatcher.idle


@pytest.mark.parametrize("others", [0, 1], ids=["alone", "with another"])
@pytest.mark.parametrize(
    ("case", "state"),
    [
        ("plain", DONE), ("same_thread", DONE), ("serial", DONE), ("by hand", DONE), ("no room", DONE),
        ("404", NO_GO), ("no code", NO_GO), ("raised", NO_GO), ("gone", DONE), ("gone, skip", CANCELLED), ("cancelled", CANCELLED),
    ],
)  # fmt: skip
def test_a_job_that_follows_keeps_the_rules(make, trail, case, state, others):
    crew, dispatcher, response = pair(threads=1, code={"404": "404", "no code": ""}.get(case, "200"))
    response.failed, response.gone = case == "raised", case.startswith("gone")
    options = {"same_thread": {"same_thread": True}, "serial": {"serial": True}, "gone, skip": {"on_disconnect": "skip"}}.get(case, {})
    task = make("task", **options)
    if case == "by hand":
        dispatcher.expect(response)
        response.after.append(lambda: trail.append("task"))
    else:
        dispatcher.queue(response, task)
    for _ in range(others):
        dispatcher.queue(response, Task(lambda: trail.append("other"), "other", parse([])))
    if case == "cancelled":
        task.cancel()
    dispatcher.is_out(response)
    if case == "no room":
        dispatcher.submit(make("busy"))
    crew.step_all()
    assert trail == ["busy"] * (case == "no room") + ["task"] * (state == DONE) + ["other"] * others
    assert task.state == state or case == "by hand"
    counts = dispatcher.counts
    assert (counts.done, counts.gated, counts.cancelled) == (len(trail), state == NO_GO, state == CANCELLED)
    assert dispatcher.idle and dispatcher.numbers()["started"] == len(trail)


def test_a_place_that_a_cancelled_task_had_is_free_again(make, trail):
    crew, dispatcher, response = pair(threads=1)

    class Hasty(Task):
        def begin(self):
            return super().begin() if self.cancel() else False  # cancelled at the last moment

    dispatcher.queue(response, Hasty(lambda: trail.append("never"), "hasty", parse([])))
    dispatcher.queue(response, make("next"))
    dispatcher.is_out(response)
    crew.step_all()
    assert trail == ["next"] and dispatcher.counts.cancelled == 1 and dispatcher.idle


def test_not_all_threads_may_wait_for_clients(make):
    _, dispatcher, _ = pair(threads=2)
    assert [dispatcher.keep_waiting() for _ in range(3)] == [True, True, False]
    dispatcher.kept()
    assert [dispatcher.keep_waiting() for _ in range(2)] == [True, False]


# Numbers.


def test_the_numbers_of_each_fate(make):
    crew, dispatcher, response = pair(threads=1, queue=1)
    assert set(dispatcher.numbers().values()) == {0}
    for name in "abc":  # one has a place, one waits, and one finds no room
        dispatcher.queue(response, make(name))
    dispatcher.queue(response, make("broken", lambda: 1 / 0, same_thread=True))
    dispatcher.queue(response, Task(len, "gated", parse(["2xx"])))
    dispatcher.queue(response, dropped := make("cancelled", same_thread=True))
    dropped.cancel()
    assert dispatcher.numbers()["queued"] == 6
    response.out_at = before = time.monotonic()
    go(dispatcher, response)
    now = dispatcher.numbers()
    assert {name: now[name] for name in ("queued", "running", "done", "failed", "gated", "cancelled", "overflowed")} == {
        "queued": 2, "running": 0, "done": 1, "failed": 1, "gated": 1, "cancelled": 1, "overflowed": 1,
    }  # fmt: skip
    crew.step_all()
    now = dispatcher.numbers()
    assert (now["queued"], now["done"], now["started"]) == (0, 3, 4)
    assert 0 <= now["start_delay_p50"] <= now["start_delay_p99"] <= now["start_delay_max"] <= time.monotonic() - before
    assert now["start_delay_max"] <= now["start_delay_sum"] <= 4 * now["start_delay_max"]


@pytest.mark.parametrize("number", [1, 2], ids=["alone", "with another"])
def test_a_delay_counts_from_the_last_byte_or_from_a_later_decoration(make, number):
    crew, dispatcher, response = pair(threads=2)
    for _ in range(number):
        dispatcher.queue(response, make("before the last byte"))
        response.after[-1].queued -= 1000
    response.out_at = before = time.monotonic()
    dispatcher.is_out(response)
    crew.step_all()
    for _ in range(number):
        dispatcher.queue(response, make("after it"))
    response.out_at -= 1000
    dispatcher.is_out(response)
    crew.step_all()
    assert 0 < dispatcher.numbers()["start_delay_sum"] <= 2 * number * (time.monotonic() - before)


# Rule 4, and the end.


def test_many_threads_follow_and_each_task_starts_once(make, trail):
    for _ in range(20):
        crew, dispatcher, response = pair(threads=4)
        trail.clear()
        response.out = True
        barrier = threading.Barrier(5)

        def bring(number, dispatcher=dispatcher, response=response, barrier=barrier):
            barrier.wait(30)
            for count in range(50):
                response.follow_with(make((number, count)))
                dispatcher.follow(response)

        threads = [threading.Thread(target=bring, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        barrier.wait(30)
        while any(thread.is_alive() for thread in threads) or crew.jobs:
            if crew.jobs:
                crew.step()
        assert len(trail) == len(set(trail)) == 200 and dispatcher.idle
        for number in range(4):
            assert [count for who, count in trail if who == number] == list(range(50)), "in the order of each thread"


def test_never_idle_while_anything_is_to_come(make):
    crew, dispatcher, response = pair(threads=1)
    assert dispatcher.idle
    seen = []
    for serial in (True, True, False):
        dispatcher.queue(response, make("a", lambda: seen.append(dispatcher.idle), serial=serial))
    assert not dispatcher.idle
    go(dispatcher, response)
    while crew.jobs:
        assert not dispatcher.idle
        crew.step()
    assert seen == [False] * 3 and dispatcher.idle


def test_abandoned_tasks_are_named_wherever_they_wait_and_never_run(make, trail):
    crew, dispatcher, response = pair(threads=2)
    begun, release = threading.Event(), threading.Event()

    def outer():
        crosstown_traffic(lambda: trail.append("nested"), name="nested")
        begun.set()
        release.wait(30)

    with response:
        crosstown_traffic(outer, name="runs")
    dispatcher.queue(response, make("placed", serial=True))
    dispatcher.queue(response, make("waits"))
    dispatcher.queue(response, make("serial", serial=True))
    go(dispatcher, response)
    late = Response(dispatcher, out=False)
    dispatcher.queue(late, make("not out"))
    dispatcher.expect(late)
    late.after.append(plain_task := lambda: trail.append("by hand"))
    running = crew.step_aside()
    begun.wait(30)
    names = [task.name for task in dispatcher.abandon()]
    assert sorted(names) == sorted(["placed", "waits", "serial", "nested", "not out", plain_task.__qualname__])
    assert [task.name for task in dispatcher.running] == ["runs"]
    release.set()
    running.join(30)
    go(dispatcher, late)
    crew.step_all()
    assert trail == [] and dispatcher.idle
    assert dispatcher.abandon() == []


def test_a_same_thread_task_that_waits_for_another_is_abandoned_by_name(make, trail):
    _, dispatcher, response = pair()
    begun, release = threading.Event(), threading.Event()
    dispatcher.queue(response, make("first", lambda: (begun.set(), release.wait(30)), same_thread=True))
    dispatcher.queue(response, make("second", same_thread=True))
    thread = threading.Thread(target=go, args=(dispatcher, response))
    thread.start()
    begun.wait(30)
    assert [task.name for task in dispatcher.abandon()] == ["second"]
    release.set()
    thread.join(30)
    assert trail == ["first"]


@pytest.mark.parametrize("start", [go, lambda dispatcher, response: dispatcher.is_out(response)], ids=["here", "in a job"])
def test_what_comes_after_the_end_is_logged_and_not_run(make, trail, start):
    from twisted.logger import globalLogPublisher

    crew, dispatcher, response = pair()
    dispatcher.abandon()
    events = []
    globalLogPublisher.addObserver(events.append)
    try:
        dispatcher.queue(response, make("late"))
        start(dispatcher, response)
        crew.step_all()
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert trail == [] and [event["name"] for event in events] == ["late"]


def test_slow_tasks_are_told_of_once(make):
    _, dispatcher, response = pair()
    seen = []
    patient = make("patient", lambda: seen.append(dispatcher.overdue()), timeout_warning=1000, same_thread=True)
    hasty = make("hasty", lambda: seen.extend((dispatcher.overdue(), dispatcher.overdue())), timeout_warning=1e-9, same_thread=True)
    quiet = make("quiet", lambda: seen.append(dispatcher.overdue()), same_thread=True)
    for task in (patient, hasty, quiet):
        dispatcher.queue(response, task)
    go(dispatcher, response)
    assert seen == [[], [hasty], [], []]
