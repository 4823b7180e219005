"""The public test tools: tasks are held, counted, looked at, run."""

from __future__ import annotations

import contextvars
import subprocess
import sys
import threading
import unittest

import pytest

from hendrix.crosstown.task import CANCELLED, DONE, FAILED, NO_GO, WAITING, TaskCancelled
from hendrix.crosstown.traffic import crosstown_traffic, current
from hendrix.testing import AsyncTestMixin, HeldTraffic, held_traffic


def queue(ran: list[object], *names: object, **options: object) -> None:
    for name in names:
        crosstown_traffic(lambda name=name: ran.append(name), name=str(name), **options)


def test_tasks_are_held_and_run_in_order_when_the_test_says_so() -> None:
    ran: list[object] = []
    with held_traffic() as traffic:
        queue(ran, "one", "two")
        queue(ran, "three", same_thread=True)
        queue(ran, "four", serial=True)
        assert (ran, len(traffic)) == ([], 4)
        tasks = traffic.run()
        assert ran == [task.name for task in tasks] == ["one", "two", "three", "four"]
        assert {task.state for task in tasks} == {DONE}
        assert len(traffic) == 0


def test_they_run_on_the_thread_of_the_test_in_the_context_of_their_author() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    with held_traffic() as traffic:
        variable.set("author")
        handle = crosstown_traffic(lambda: (threading.get_ident(), variable.get()))
        variable.set("later")
        traffic.run()
    assert handle.result(0) == (threading.get_ident(), "author")


def test_the_status_gates_each_task() -> None:
    ran: list[object] = []
    with held_traffic() as traffic:
        queue(ran, "default")
        queue(ran, "always", no_go_status_codes=[])
        queue(ran, "not found only", no_go_status_codes=["4xx"])
        states = [task.state for task in traffic.run(status=404)]
    assert (ran, states) == (["always"], [NO_GO, DONE, NO_GO])


def test_a_client_that_left_stops_those_that_want_to_be() -> None:
    ran: list[object] = []
    with held_traffic() as traffic:
        queue(ran, "run")
        queue(ran, "skip", on_disconnect="skip")
        traffic.run(client_left=True)
    assert ran == ["run"]


def test_a_task_that_fails_is_raised_when_the_others_have_run() -> None:
    ran: list[object] = []
    with held_traffic() as traffic:
        failing = crosstown_traffic(lambda: 1 / 0)
        queue(ran, "next")
        with pytest.raises(ZeroDivisionError):
            traffic.run()
    assert (ran, failing.state) == (["next"], FAILED)


def test_a_task_that_queues_another_has_it_run_after_it() -> None:
    ran: list[object] = []
    with held_traffic() as traffic:
        crosstown_traffic(lambda: queue(ran, "inner"))
        queue(ran, "outer")
        traffic.run()
    assert ran == ["outer", "inner"]


def test_plain_callables_of_the_environ_are_tasks_too() -> None:
    ran: list[object] = []
    with held_traffic() as traffic:
        traffic.after.append(lambda: ran.append("plain"))
        assert [task.state for task in traffic] == [WAITING]
        traffic.run()
    assert ran == ["plain"]


def test_one_task_is_taken_and_called() -> None:
    with held_traffic() as traffic:
        crosstown_traffic(lambda: 42, name="answer")
        crosstown_traffic(lambda: 1 / 0)
        answer = traffic.take()
        assert (answer.name, answer(), answer.task.state) == ("answer", 42, DONE)
        with pytest.raises(ZeroDivisionError):
            traffic.take()()
        with pytest.raises(IndexError):
            traffic.take()


def test_what_is_left_is_cancelled_and_what_was_before_is_restored() -> None:
    with held_traffic() as outer:
        with held_traffic() as inner:
            handle = crosstown_traffic(lambda: None)
            assert (len(outer), len(inner)) == (0, 1)
        assert current.get() is outer
        assert handle.state == CANCELLED
        with pytest.raises(TaskCancelled):
            handle.result(0)
    assert current.get() is None


def test_an_error_in_the_block_restores_as_well() -> None:
    with pytest.raises(KeyError), held_traffic():
        raise KeyError
    assert current.get() is None


def test_the_fixture_holds(crosstown: HeldTraffic) -> None:
    ran: list[object] = []
    queue(ran, "one")
    assert len(crosstown) == 1
    crosstown.run()
    assert ran == ["one"]


def test_the_plugin_of_pytest_is_light() -> None:
    script = "import sys, hendrix.pytest_plugin; print(*(n for n in sys.modules if n.startswith(('twisted', 'hendrix.', 'django'))))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["hendrix.pytest_plugin"]


class TestMixin(AsyncTestMixin, unittest.TestCase):
    ran: list[object]

    def setUp(self) -> None:
        super().setUp()
        self.ran = []

    def test_it_counts(self) -> None:
        self.assertNumCrosstownTasks(0)
        queue(self.ran, "one", "two")
        self.assertNumCrosstownTasks(2)
        with self.assertRaisesRegex(AssertionError, "the tasks that wait: one, two"):
            self.assertNumCrosstownTasks(1)

    def test_it_gives_one_after_another(self) -> None:
        queue(self.ran, "one", "two")
        self.next_task()()
        assert self.ran == ["one"]
        self.next_task()()
        assert self.ran == ["one", "two"]
        with self.assertRaisesRegex(StopIteration, r"^No more tasks\.$"):
            self.next_task()

    def test_it_runs_all(self) -> None:
        queue(self.ran, "one", "two")
        self.crosstown.run(status=500)
        assert self.ran == []
        self.assertNumCrosstownTasks(0)

    def tearDown(self) -> None:
        assert current.get() is self.crosstown
        super().tearDown()


class TestAsync(AsyncTestMixin, unittest.IsolatedAsyncioTestCase):
    async def test_it_holds_in_coroutines(self) -> None:
        crosstown_traffic(lambda: 1)
        self.assertNumCrosstownTasks(1)
        assert self.next_task()() == 1


def test_after_the_mixin_nothing_is_held() -> None:
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(TestMixin).run(result)
    assert (result.testsRun, result.failures, result.errors) == (3, [], [])
    assert current.get() is None
