"""Handlers of events and consumers of queues: called on the crew, each message once, and no error stops the next."""

from __future__ import annotations

import threading

import pytest
from crew import Crew
from hubs import Tree
from twisted.logger import LogLevel, globalLogPublisher

from hendrix import hey_joe
from hendrix.crosstown import around as surroundings
from hendrix.crosstown.dispatcher import Dispatcher
from hendrix.hey_joe import branch as branches, declared as declaring, facade
from hendrix.hey_joe.declared import Declared
from hendrix.hey_joe.handling import Handling
from hendrix.hey_joe.reply import Failed, WouldWait


class Process:
    """A branch with a crew that the test steps."""

    def __init__(self, tree):
        self.tree, self.branch = tree, tree.add()
        self.crew = Crew()
        self.dispatcher = Dispatcher(self.crew, 3)
        self.declared = Declared()
        self.declared.listen(Handling(self.branch, lambda: self.dispatcher))


@pytest.fixture
def tree():
    return Tree(0)


@pytest.fixture
def processes(tree):
    return [Process(tree), Process(tree)]


@pytest.fixture
def in_each(processes, monkeypatch):
    """Have something declared in each process, as an application does that each imports."""

    def declare(call):
        for process in processes:
            monkeypatch.setattr(facade, "declared", process.declared)
            call(process)
        processes[0].tree.settle()

    return declare


@pytest.fixture
def logged():
    lines = []

    def observe(event):
        if event["log_level"] >= LogLevel.warn:
            lines.append((event["log_format"].format(**event), event.get("log_failure")))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


def run(processes):
    """Until nothing is to be done."""
    tree = processes[0].tree
    tree.settle()
    while any(process.crew.jobs for process in processes):
        for process in processes:
            process.crew.step_all()
        tree.settle()


def test_an_event_is_handled_once_in_the_tree(processes, in_each):
    calls = []
    in_each(lambda process: hey_joe.on("orders.*")(lambda event: calls.append((process, event))))
    for number in range(4):
        processes[0].branch.publish("orders.new", number)
    processes[0].branch.publish("other", 1)
    run(processes)
    assert sorted(event.payload for _, event in calls) == [0, 1, 2, 3]
    assert {process for process, _ in calls} == set(processes)
    event = calls[0][1]
    assert (event.topic, event.id, event.time) == ("orders.new", "e-1", 1000.0)


def test_an_event_is_handled_in_each_process_if_asked_for(processes, in_each):
    calls = []
    in_each(lambda process: hey_joe.on("orders.*", everywhere=True)(lambda event: calls.append((process, event.payload))))
    for number in range(3):
        processes[0].branch.publish("orders.new", number)
    run(processes)
    assert sorted(calls, key=lambda call: (processes.index(call[0]), call[1])) == [
        (process, number) for process in processes for number in range(3)
    ]
    assert [payload for process, payload in calls if process is processes[1]] == [0, 1, 2]


@pytest.mark.parametrize("everywhere", [False, True])
def test_no_more_calls_at_a_time_than_asked_for(processes, in_each, everywhere):
    in_each(lambda process: hey_joe.on("a", everywhere=everywhere, threads=2)(lambda event: None))
    for number in range(9):
        processes[0].branch.publish("a", number)
    processes[0].tree.settle()
    assert [len(process.crew.jobs) for process in processes] == [2, 2]
    run(processes)
    assert [process.dispatcher.counts.done for process in processes] == ([9, 9] if everywhere else [5, 4])


def test_a_handler_that_raises_is_logged_by_name_and_the_next_event_is_handled(processes, in_each, logged):
    calls = []

    def fragile(event):
        calls.append(event.payload)
        if event.payload == 0:
            raise RuntimeError("broken string")

    in_each(lambda process: hey_joe.on("a")(fragile))
    for number in range(3):
        processes[0].branch.publish("a", number)
    run(processes)
    assert sorted(calls) == [0, 1, 2]
    ((line, failure),) = [each for each in logged if each[1] is not None]
    assert "fragile of the event e-1 of a failed" in line and "broken string" in failure.getTraceback()


def test_what_is_around_tasks_is_around_handlers(processes, in_each, monkeypatch):
    from contextlib import contextmanager

    seen = []

    @contextmanager
    def around(task):
        seen.append((task.name.rpartition(".")[2], task.thread_lives_on, task.inline))
        yield
        seen.append("after")

    monkeypatch.setattr(surroundings, "around", [around])
    in_each(lambda process: hey_joe.on("a")(lambda event: seen.append("handled")))
    processes[0].branch.publish("a", 1)
    run(processes)
    assert seen == [("<lambda>", True, False), "handled", "after"]


def test_a_consumer_gets_each_message_once_and_what_it_returns_is_published(processes, in_each):
    got, done = [], []
    in_each(lambda process: hey_joe.consumer("thumbnails")(lambda event: got.append(event.payload) or {"size": event.payload}))
    in_each(lambda process: hey_joe.on("thumbnails.done")(lambda event: done.append(event.payload)))
    for number in range(5):
        processes[1].branch.enqueue("thumbnails", number, then="thumbnails.done")
    run(processes)
    assert sorted(got) == [0, 1, 2, 3, 4]
    assert sorted(item["size"] for item in done) == [0, 1, 2, 3, 4]


def test_what_a_queue_loses_is_an_event(processes, in_each):
    lost = []
    in_each(
        lambda process: hey_joe.on("$queue.**")(lambda event: lost.append((event.topic, event.payload["lost"], event.payload["reason"])))
    )
    in_each(lambda process: hey_joe.consumer("q")(lambda event: 1 / event.payload))
    processes[0].branch.enqueue("nobody", 1, expires=5)
    processes[0].branch.enqueue("q", 0)
    run(processes)
    processes[0].tree.clock.now += 6
    processes[0].tree.hub.sweep()
    run(processes)
    assert lost == [("$queue.q", "e-2", "failed"), ("$queue.nobody", "e-1", "expired")]


def test_what_was_in_work_in_a_process_that_dies_is_lost_and_said(processes, in_each, logged):
    in_each(lambda process: hey_joe.consumer("q")(lambda event: None))
    processes[0].branch.enqueue("q", 1)
    processes[0].tree.settle()
    (busy,) = [number for number, process in enumerate(processes) if process.crew.jobs]
    processes[0].tree.crash(busy)
    processes[0].tree.hub.sweep()
    assert [line for line, _ in logged] == ["the queue q has lost 1 messages: died"]
    assert processes[0].tree.hub.numbers()["queue_lost"] == 1


def test_a_process_that_is_about_to_end_gives_back_what_it_has_not_begun(processes, in_each):
    calls = []
    in_each(lambda process: hey_joe.consumer("q", threads=5)(lambda event: calls.append(process)))
    processes[0].dispatcher = None
    for number in range(4):
        processes[0].branch.enqueue("q", number)
    run(processes)
    assert calls == [processes[1]] * 4


def test_what_waits_when_all_ends_is_logged(processes, in_each, logged):
    processes[0].branch.enqueue("q", 1)
    processes[0].tree.settle()
    processes[0].tree.hub.stop()
    assert [line for line, _ in logged] == ["1 messages of the queue q were not handled: the process ends"]


def test_what_is_declared_again_takes_the_place_of_what_was(processes, in_each):
    calls = []

    def declare(process):
        for version in (1, 2):

            def handler(event, version=version):
                calls.append(version)

            hey_joe.on("a")(handler)
            hey_joe.on("a", everywhere=True)(handler)
            hey_joe.consumer("q")(handler)
            process.tree.settle()

    in_each(declare)
    processes[0].branch.publish("a", 1)
    processes[0].branch.enqueue("q", 1)
    run(processes)
    assert calls == [2, 2, 2, 2]


def test_rules_reach_the_hub_and_all_processes_that_declare_them(processes, in_each):
    in_each(lambda process: hey_joe.topic("chat.*", history=2, age=60, policy="latest"))
    hub = processes[0].tree.hub
    assert hub.rules.of("chat.lobby").history == 2
    assert [process.branch.rules.of("chat.lobby").policy for process in processes] == ["latest"] * 2


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: hey_joe.on("a*"), hey_joe.BadTopic),
        (lambda: hey_joe.on("a", threads=0), ValueError),
        (lambda: hey_joe.on("a")(7), TypeError),
        (lambda: hey_joe.consumer("a.*"), hey_joe.BadTopic),
        (lambda: hey_joe.topic("a..b"), hey_joe.BadTopic),
        (lambda: hey_joe.topic("a", history=-1), ValueError),
        (lambda: hey_joe.topic("a", age=0), ValueError),
        (lambda: hey_joe.topic("a", policy="nothing"), ValueError),
    ],
)
def test_nonsense_is_found_where_it_is_declared(call, error, monkeypatch):
    monkeypatch.setattr(facade, "declared", declaring.Declared())
    with pytest.raises(error):
        call()
    assert not facade.declared.handlers and not facade.declared.rules


def test_a_coroutine_function_is_no_handler():
    async def handler(event): ...

    with pytest.raises(TypeError, match="a handler is a plain function"):
        hey_joe.on("a")(handler)


# Replies.


@pytest.fixture
def current(processes, monkeypatch):
    monkeypatch.setattr(branches, "current", processes[0].branch)
    return processes


def test_a_reply_can_be_waited_for_outside_of_the_crew(current, in_each):
    in_each(lambda process: hey_joe.consumer("double")(lambda event: event.payload * 2))
    reply, sad = hey_joe.enqueue("double", 21), hey_joe.enqueue("double", {})
    with pytest.raises(TimeoutError, match=r"the queue double has not replied within 0 s"):
        reply.wait(0)
    run(current)
    assert reply.wait(1) == 42
    with pytest.raises(Failed, match="double: its consumer raised TypeError"):
        sad.wait(1)


def test_a_reply_that_will_not_come_is_an_error(current):
    reply = hey_joe.enqueue("nobody", 1, expires=1)
    current[0].tree.settle()
    current[0].tree.clock.now += 2
    current[0].tree.hub.sweep()
    current[0].tree.settle()
    with pytest.raises(Failed, match="nobody: the message was lost: expired"):
        reply.wait(1)


def test_a_message_for_which_there_is_no_room_has_its_reply(current):
    current[0].branch._inlet._most = 1
    first, second = hey_joe.enqueue("q", 1), hey_joe.enqueue("q", 2)
    with pytest.raises(Failed, match="q: the message was lost: overload"):
        second.wait(1)
    with pytest.raises(TimeoutError):
        first.wait(0)
    current[0].tree.settle()
    assert current[0].tree.hub.queues.waiting == 1


def test_waiting_inside_a_handler_raises(current, in_each):
    raised = []

    def handler(event):
        try:
            hey_joe.enqueue("q", 1).wait()
        except WouldWait as error:
            raised.append(str(error))

    in_each(lambda process: hey_joe.on("a")(handler))
    current[0].branch.publish("a", 1)
    run(current)
    assert raised == [
        "a reply from the queue q cannot be waited for in a view, a task or a handler: consumers run on the same threads. "
        'Take it up with then="topic" where it is published, or run the function itself with hendrix.gather'
    ]


def test_waiting_on_the_reactor_thread_raises(current):
    for ask in (hey_joe.position, lambda: hey_joe.presence("a"), lambda: hey_joe.history("a")):
        with pytest.raises(WouldWait, match="the reactor's thread"):
            ask()


def test_questions_are_answered_on_other_threads(current, in_each):
    in_each(lambda process: hey_joe.topic("a", history=5))
    hey_joe.publish("a", {"n": 1})
    answers = []
    thread = threading.Thread(target=lambda: answers.extend([hey_joe.position(), hey_joe.presence("a"), hey_joe.history("a")]))
    thread.start()
    while thread.is_alive():
        current[0].tree.settle()
        thread.join(0.001)
    position, presence, (event,) = answers
    assert (position, presence, event.payload, event.topic) == ("e-1", {"connections": 0, "who": []}, {"n": 1}, "a")


def test_where_there_is_no_hub_one_is_told_so(monkeypatch):
    monkeypatch.setattr(branches, "current", None)
    monkeypatch.delenv("HENDRIX_CONTROL", raising=False)
    with pytest.raises(hey_joe.NoHub, match=r"there is no hub in this process, .*HENDRIX_CONTROL.* hendrix\.client"):
        hey_joe.publish("a", 1)


def test_no_module_has_the_name_of_a_function():
    from pathlib import Path

    modules = {path.stem for path in Path(hey_joe.__file__).parent.glob("*.py")}
    assert not modules & set(hey_joe.__all__)
    assert all(getattr(hey_joe, name) for name in hey_joe.__all__)
