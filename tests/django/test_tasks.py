"""The contract of Django's task backends, and what this one adds: tasks in the order of the response, past its gate, after the commit."""

from __future__ import annotations

import copyreg
import dataclasses
import os
import pickle
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone as dt
from types import MethodType
from typing import Any
from unittest import mock

import django
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.http import HttpResponse
from django.test import Client, SimpleTestCase, TestCase, TransactionTestCase, override_settings
from django.utils import timezone, translation
from ledger import tasks
from ledger.api import (
    LOGGER,
    InvalidTask,
    Task,
    TaskResultDoesNotExist,
    TaskResultMismatch,
    TaskResultStatus,
    default_task_backend,
    task,
    task_backends,
    task_enqueued,
    task_finished,
    task_started,
)
from ledger.settings import BACKPORT, TASKS
from ledger.views import set_probe

from hendrix.crosstown import traffic
from hendrix.crosstown.dispatcher import Dispatcher
from hendrix.crosstown.task import NoGo, TaskCancelled
from hendrix.crosstown.traffic import NoResponse, crosstown_traffic
from hendrix.django.backend import CrosstownTasks
from hendrix.django.later import Later
from hendrix.testing import HeldTraffic, held_traffic

DEADLINE = 30.0
BACKEND = TASKS["default"]["BACKEND"]
READY, RUNNING, FAILED, SUCCESSFUL = (getattr(TaskResultStatus, name) for name in ("READY", "RUNNING", "FAILED", "SUCCESSFUL"))


def options(**values: Any) -> Any:
    return override_settings(TASKS={"default": {"BACKEND": BACKEND, "OPTIONS": values}})


@pytest.fixture(autouse=True)
def fresh() -> None:
    tasks.ran.clear()
    default_task_backend.clear()


def wait_for(result: Any) -> Any:
    deadline = time.monotonic() + DEADLINE
    while not result.is_finished:
        assert time.monotonic() < deadline, result
        time.sleep(0.005)
        result.refresh()
    return result


@pytest.mark.skipif(BACKPORT, reason="this is that run, or there is nothing else")
def test_the_backport_keeps_the_contract_too() -> None:
    environment = {**os.environ, "LEDGER_BACKPORT": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", __file__]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


class TestTheContract(SimpleTestCase):
    """Outside of a response, where ``enqueue()`` runs the task: what Django tests with its immediate backend."""

    def test_the_backend_is_found(self) -> None:
        assert default_task_backend == task_backends["default"]
        assert isinstance(task_backends["default"], CrosstownTasks)
        assert (default_task_backend.alias, default_task_backend.options) == ("default", {})
        assert list(default_task_backend.check()) == []

    def test_what_it_supports(self) -> None:
        backend = default_task_backend
        assert backend.supports_defer and backend.supports_async_task and backend.supports_get_result
        assert not backend.supports_priority

    def see_success(self, result: Any, of: Any, args: list[Any], kwargs: dict[str, Any]) -> None:
        assert (result.status, result.is_finished, result.attempts, result.errors) == (SUCCESSFUL, True, 1, [])
        assert result.enqueued_at <= result.started_at == result.last_attempted_at <= result.finished_at
        assert (result.task, result.args, result.kwargs, result.backend) == (of, args, kwargs, "default")
        assert result.return_value is None

    def test_a_task_runs(self) -> None:
        for each in (tasks.note, tasks.note_async):
            with self.subTest(each.name):
                self.see_success(each.enqueue("positional"), each, ["positional"], {})
                self.see_success(each.enqueue(text="keyword"), each, [], {"text": "keyword"})
        assert tasks.ran == ["positional", "keyword"] * 2

    async def test_a_task_runs_from_a_coroutine(self) -> None:
        for each in (tasks.note, tasks.note_async):
            self.see_success(await each.aenqueue("a"), each, ["a"], {})

    def test_the_result(self) -> None:
        assert default_task_backend.enqueue(tasks.answer, [], {}).return_value == 42

    async def test_the_result_from_a_coroutine(self) -> None:
        assert (await default_task_backend.aenqueue(tasks.answer, [], {})).return_value == 42

    def test_values_become_json(self) -> None:
        result = tasks.mixed.enqueue((1, b"bytes"))
        assert (result.args, result.return_value) == ([[1, "bytes"]], {"tuple": [1, 2], "value": [1, "bytes"]})

    def test_arguments_that_are_no_json_are_refused(self) -> None:
        with pytest.raises(TypeError, match="Unsupported type"):
            tasks.note.enqueue(datetime.now())
        assert tasks.ran == []

    async def test_arguments_that_are_no_json_are_refused_in_a_coroutine(self) -> None:
        with pytest.raises(TypeError, match="Unsupported type"):
            await tasks.note.aenqueue(datetime.now())

    def see_failure(self, of: Any, kind: type[BaseException], *words: str) -> Any:
        with self.assertLogs(LOGGER, level="ERROR") as logs:
            result = of.enqueue()
        assert (result.status, result.is_finished, result.attempts) == (FAILED, True, 1)
        assert result.enqueued_at <= result.started_at <= result.finished_at
        assert [error.exception_class for error in result.errors] == [kind]
        for text in (logs.output[0], result.errors[0].traceback):
            assert all(word in text for word in words)
        with pytest.raises(ValueError, match="Task failed"):
            result.return_value  # noqa: B018
        assert result._return_value is None
        assert len(logs.output) == 1
        return result

    def test_what_a_task_raises_is_in_the_result_and_in_the_log(self) -> None:
        result = self.see_failure(tasks.fails, ValueError, "This was to be expected")
        assert result.errors[0].traceback.endswith("ValueError: This was to be expected\n")
        assert "in fails" in result.errors[0].traceback
        self.see_failure(tasks.exits, SystemExit, "the way out")
        self.see_failure(tasks.fails_with_an_error_in_an_error, ValueError, "ValueError: inner")

    def test_a_return_value_that_is_no_json_is_a_failure(self) -> None:
        self.see_failure(tasks.returns_what_is_no_json, TypeError, "Unsupported type")

    def test_an_interrupt_goes_through(self) -> None:
        with pytest.raises(KeyboardInterrupt), self.assertNoLogs(LOGGER, level="ERROR"):
            default_task_backend.enqueue(tasks.is_interrupted, [], {})

    def test_the_class_of_an_error_is_looked_for_when_it_is_asked_for(self) -> None:
        result = self.see_failure(tasks.fails, ValueError)
        object.__setattr__(result.errors[0], "exception_class_path", "subprocess.run")
        with pytest.raises(ValueError, match="does not reference a valid exception"):
            result.errors[0].exception_class  # noqa: B018
        object.__setattr__(result.errors[0], "exception_class_path", "no.such.module")
        with pytest.raises(ImportError):
            result.errors[0].exception_class  # noqa: B018

    def test_the_context(self) -> None:
        result = tasks.own_id.enqueue()
        assert result.return_value == result.id
        assert tasks.attempt.enqueue(1).status == SUCCESSFUL

    def test_the_log(self) -> None:
        with self.assertLogs(LOGGER, level="DEBUG") as logs:
            result = tasks.answer.enqueue()
        assert all(result.id in line for line in logs.output)
        assert not any("None" in line for line in logs.output)
        for line, word in zip(logs.output, ("enqueued", "state=RUNNING", "state=SUCCESSFUL"), strict=True):
            assert word in line
        with self.assertLogs(LOGGER, level="DEBUG") as logs:
            tasks.fails.enqueue()
        assert len(logs.output) == 3
        assert "state=FAILED" in logs.output[2]

    def test_the_signals(self) -> None:
        heard: list[tuple[str, Any, str]] = []
        receivers = {}
        for name, signal in (("enqueued", task_enqueued), ("started", task_started), ("finished", task_finished)):
            receivers[name] = lambda sender, task_result, name=name, **_: heard.append((name, sender, task_result.status))
            signal.connect(receivers[name])
            self.addCleanup(signal.disconnect, receivers[name])
        tasks.answer.enqueue()
        sender = type(task_backends["default"])
        assert heard == [("enqueued", sender, READY), ("started", sender, RUNNING), ("finished", sender, SUCCESSFUL)]

    def test_a_receiver_that_raises_when_it_starts_fails_it(self) -> None:
        def receiver(**_: Any) -> None:
            raise KeyError("receiver")

        task_started.connect(receiver)
        self.addCleanup(task_started.disconnect, receiver)
        assert self.see_failure(tasks.answer, KeyError).started_at is not None

    def test_an_unknown_queue_is_refused(self) -> None:
        with pytest.raises(InvalidTask, match="Queue 'other' is not valid for backend"):
            tasks.note.using(queue_name="other")
        with override_settings(TASKS={"default": {"BACKEND": BACKEND, "QUEUES": []}}):
            any_queue = tasks.note.using(queue_name="other")
            assert any_queue.enqueue("x").status == SUCCESSFUL
        with pytest.raises(InvalidTask, match="Queue 'other' is not valid for backend"):
            any_queue.enqueue("x")

    async def test_an_unknown_queue_is_refused_in_a_coroutine(self) -> None:
        with override_settings(TASKS={"default": {"BACKEND": BACKEND, "QUEUES": []}}):
            any_queue = tasks.note.using(queue_name="other")
        with pytest.raises(InvalidTask, match="Queue 'other' is not valid for backend"):
            await any_queue.aenqueue("x")

    def test_a_priority_is_refused(self) -> None:
        with pytest.raises(InvalidTask, match="does not support setting priority"):
            tasks.note.using(priority=10)

    def test_a_time_without_a_zone_is_refused(self) -> None:
        with pytest.raises(InvalidTask, match="run_after must be an aware datetime"):
            tasks.note.using(run_after=datetime.now())

    def test_functions_that_are_none_are_refused(self) -> None:
        for function in (any, self.test_a_priority_is_refused, lambda: None):
            with pytest.raises(InvalidTask, match="must be defined at a module level"):
                task()(function)
        with pytest.raises(InvalidTask, match="first argument of 'context'"):
            task(takes_context=True)(tasks.answer.func)

    def test_a_backend_may_refuse_coroutines(self) -> None:
        with mock.patch.multiple(task_backends["default"], supports_async_task=False):
            with pytest.raises(InvalidTask, match="does not support async"):
                default_task_backend.validate_task(tasks.note_async)

    def test_using_makes_a_new_task(self) -> None:
        when = timezone.now()
        changed = tasks.note.using(run_after=when)
        assert (changed.run_after, tasks.note.run_after) == (when, None)
        again = tasks.note.using()
        assert again == tasks.note
        assert again is not tasks.note
        assert isinstance(again, Task)
        assert again.get_backend() == default_task_backend

    def test_a_task_may_be_called(self) -> None:
        assert tasks.answer.call() == 42
        assert tasks.note_async.call("x") is None

    def test_results_are_pickled(self) -> None:
        result = tasks.answer.enqueue()
        if not BACKPORT:  # its tasks cannot be
            copyreg.dispatch_table.pop(MethodType, None)  # as the crosstown node does
            assert pickle.loads(pickle.dumps(result)) == result

    def test_the_results_are_got_again(self) -> None:
        result = tasks.answer.enqueue()
        assert default_task_backend.get_result(result.id) == tasks.answer.get_result(result.id) == result
        with pytest.raises(TaskResultMismatch):
            tasks.note.get_result(result.id)
        for get in (default_task_backend.get_result, tasks.note.get_result):
            with pytest.raises(TaskResultDoesNotExist):
                get("no such id")
        default_task_backend.clear()
        with pytest.raises(TaskResultDoesNotExist, match=result.id):
            default_task_backend.get_result(result.id)

    async def test_the_results_are_got_again_in_a_coroutine(self) -> None:
        result = await tasks.answer.aenqueue()
        assert await default_task_backend.aget_result(result.id) == await tasks.answer.aget_result(result.id) == result
        with pytest.raises(TaskResultMismatch):
            await tasks.note.aget_result(result.id)
        with pytest.raises(TaskResultDoesNotExist):
            await default_task_backend.aget_result("no such id")
        before = dataclasses.asdict(result)
        await result.arefresh()
        assert dataclasses.asdict(result) == before

    def test_a_result_is_got_on_another_thread(self) -> None:
        result = tasks.answer.enqueue()
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(default_task_backend.get_result(result.id)))
        thread.start()
        thread.join(DEADLINE)
        assert found == [result]

    def test_a_result_that_is_changed_changes_nothing_else(self) -> None:
        result = tasks.answer.enqueue()
        result.errors.append("mine")
        result.worker_ids.clear()
        again = default_task_backend.get_result(result.id)
        assert (again.errors, again.attempts) == ([], 1)
        again.errors.append("mine")
        assert default_task_backend.get_result(result.id).errors == []

    def test_the_store_is_bounded(self) -> None:
        with options(results=3):
            results = [tasks.answer.enqueue() for _ in range(5)]
            for result in results[:2]:
                with pytest.raises(TaskResultDoesNotExist):
                    default_task_backend.get_result(result.id)
            assert [default_task_backend.get_result(result.id) for result in results[2:]] == results[2:]

    def test_options_are_checked(self) -> None:
        for given, words in (({"outsid": "now"}, "unknown OPTIONS"), ({"outside": "later"}, 'OPTIONS\\["outside"\\] is one of')):
            with options(**given), pytest.raises(ImproperlyConfigured, match=words):
                tasks.answer.using()
        with options(no_go_status_codes=["nonsense"]), pytest.raises(ValueError, match="no status code"):
            tasks.answer.using()

    def test_the_app_must_be_installed(self) -> None:
        with mock.patch("hendrix.django.backend.apps.is_installed", return_value=False):
            assert [error.id for error in default_task_backend.check()] == ["hendrix.E001"]


class TestInARequest(SimpleTestCase):
    def enqueue(self, *enqueue: Any, status: int = 200) -> list[Any]:
        """The results as a view gets them."""
        results: list[Any] = []

        def view(request):
            results[:] = [call() for call in enqueue]
            return HttpResponse(status=status)

        set_probe(view)
        self.client.get("/probe/")
        return results

    def test_tasks_join_the_tasks_of_the_response_in_order(self) -> None:
        results = self.enqueue(
            lambda: tasks.note.enqueue("one"),
            lambda: crosstown_traffic(lambda: tasks.ran.append("two")),
            lambda: tasks.note_async.enqueue("three"),
            lambda: tasks.chain.enqueue("four"),
            lambda: tasks.ran.append("view"),
        )
        assert tasks.ran == ["view", "one", "two", "three", "four 1", "four 2"]
        assert (results[0].status, results[0].attempts) == (READY, 0)
        assert results[0].enqueued_at is not None
        assert results[0].started_at is results[0].last_attempted_at is results[0].finished_at is None
        with pytest.raises(ValueError, match="Task has not finished yet"):
            results[0].return_value  # noqa: B018
        results[0].refresh()
        assert results[0].status == SUCCESSFUL

    def test_the_status_stops_them(self) -> None:
        finished: list[Any] = []

        def receiver(task_result: Any, **_: Any) -> None:
            finished.append((task_result.id, task_result.status))

        task_finished.connect(receiver)
        self.addCleanup(task_finished.disconnect, receiver)
        with self.assertLogs(LOGGER, level="ERROR"):
            (result,) = self.enqueue(lambda: tasks.note.enqueue("never"), status=404)
        result.refresh()
        assert (tasks.ran, result.status, result.started_at, result.attempts) == ([], FAILED, None, 0)
        assert [error.exception_class for error in result.errors] == [NoGo]
        assert result.finished_at is not None
        assert finished == [(result.id, FAILED)]

    def test_the_codes_are_an_option(self) -> None:
        with options(no_go_status_codes=[418]):
            self.enqueue(lambda: tasks.note.enqueue("runs"), status=404)
            with self.assertLogs(LOGGER, level="ERROR"):
                self.enqueue(lambda: tasks.note.enqueue("never"), status=418)
        assert tasks.ran == ["runs"]

    def test_a_task_that_fails_fails_no_request_and_no_other_task(self) -> None:
        with self.assertLogs(LOGGER, level="ERROR"):
            result, _ = self.enqueue(tasks.fails.enqueue, lambda: tasks.note.enqueue("next"))
        result.refresh()
        assert (result.status, tasks.ran) == (FAILED, ["next"])

    def test_the_language_follows(self) -> None:
        def enqueue() -> Any:
            with translation.override("fr"):
                return tasks.where.enqueue()

        (result,) = self.enqueue(enqueue)
        result.refresh()
        assert result.return_value == [threading.get_ident(), "fr"]

    def test_under_a_test_a_task_for_later_stays_ready(self) -> None:
        with mock.patch("hendrix.django.backend.later.at") as at:
            (result,) = self.enqueue(lambda: tasks.note.using(run_after=timezone.now() + timedelta(hours=1)).enqueue("later"))
        assert not at.called
        result.refresh()
        assert (result.status, tasks.ran) == (READY, [])

    def test_a_time_that_has_passed_is_now(self) -> None:
        self.enqueue(lambda: tasks.note.using(run_after=timezone.now() - timedelta(seconds=1)).enqueue("due"))
        assert tasks.ran == ["due"]

    def test_a_task_that_is_cancelled_has_failed(self) -> None:
        with held_traffic() as held:
            result = tasks.note.enqueue("never")
            assert held.tasks[0].cancel()
        result.refresh()
        assert result.errors[0].exception_class is TaskCancelled

    def test_held_tasks_run_when_the_test_says_so(self) -> None:
        with held_traffic() as held:
            result = tasks.answer.enqueue()
            assert [each.name for each in held] == ["ledger.tasks.answer"]
            held.run()
            result.refresh()
            assert result.return_value == 42

    def test_on_the_crew_a_failure_is_counted_and_reported(self) -> None:
        with held_traffic() as held:
            result = tasks.fails.enqueue()
            (job,) = held.tasks
            dispatcher = Dispatcher(None, 0)
            reported: list[object] = []
            dispatcher.on_error = lambda task, error: reported.append((task, type(error)))
            with self.assertLogs(LOGGER, level="ERROR"):
                dispatcher.run(job)
            result.refresh()
        assert (dispatcher.counts.failed, reported, result.status) == (1, [(job, ValueError)], FAILED)


class TestOutside(SimpleTestCase):
    def test_on_the_crew_where_there_is_none_on_a_thread(self) -> None:
        with options(outside="crew"):
            result = wait_for(tasks.where.enqueue())
            assert result.return_value[0] != threading.get_ident()

    def test_on_the_crew_of_the_server(self) -> None:
        crew = mock.Mock()
        with options(outside="crew"), mock.patch.object(traffic, "serving", Dispatcher(crew, 1)):
            result = tasks.answer.enqueue()
            assert result.status == READY
            (place,) = crew.submit.call_args.args
            place.run(mock.Mock())
            result.refresh()
            assert result.return_value == 42

    def test_the_language_follows_to_another_thread(self) -> None:
        with options(outside="crew"), translation.override("fr"):
            assert wait_for(tasks.where.enqueue()).return_value[1] == "fr"

    def test_as_an_error(self) -> None:
        with options(outside="error"):
            with pytest.raises(NoResponse, match=r"ledger\.tasks\.note"):
                tasks.note.enqueue("x")
            with held_traffic() as held:
                tasks.note.enqueue("x")
                assert len(held) == 1

    def test_a_task_for_later_follows_no_response_when_it_runs(self) -> None:
        with held_traffic():
            chain = tasks.chain.using(run_after=timezone.now() + timedelta(seconds=0.1)).enqueue("later")
            job = traffic.current.get().tasks[0]
            Dispatcher(None, 0).run(job)
        wait_for(chain)
        assert (chain.status, tasks.ran) == (SUCCESSFUL, ["later 1", "later 2"])

    def test_later(self) -> None:
        before = time.time()
        result = tasks.where.using(run_after=timezone.now() + timedelta(seconds=0.2)).enqueue()
        assert result.status == READY
        wait_for(result)
        assert result.started_at.timestamp() >= before + 0.2
        assert result.return_value[0] != threading.get_ident()

    def test_later_in_any_zone(self) -> None:
        run_after = datetime.now(dt(timedelta(hours=9))) + timedelta(seconds=0.1)
        assert wait_for(tasks.answer.using(run_after=run_after).enqueue()).return_value == 42


def test_the_clock_calls_what_is_due_in_order_and_survives_what_raises() -> None:
    clock, called, done = Later(), [], threading.Event()
    now = time.time()
    clock.at(now + 0.15, "last", done.set)
    clock.at(now + 0.1, "second", lambda: called.append((2, time.time() >= now + 0.1)))
    clock.at(now + 0.05, "broken", lambda: 1 / 0)
    clock.at(now, "first", lambda: called.append((1, True)))
    assert done.wait(DEADLINE)
    assert called == [(1, True), (2, True)]


def test_what_is_not_due_when_the_process_ends_is_in_the_log() -> None:
    script = "from hendrix.django.later import later; import time; later.at(time.time() + 3600, 'ledger.tasks.note', print)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=DEADLINE)
    assert (done.returncode, done.stdout) == (0, "")
    assert "the task ledger.tasks.note was not due yet and is not run: the process ends" in done.stderr


class TestInATestCase(TestCase):
    def test_a_task_sees_the_transaction_of_the_test(self) -> None:
        from ledger.models import Line

        set_probe(lambda request: tasks.write.enqueue("task") and HttpResponse())
        self.client.get("/probe/")
        assert Line.objects.get().text == "task"

    def test_outside_a_request_it_waits_for_the_commit_that_django_simulates(self) -> None:
        with self.captureOnCommitCallbacks(execute=True):
            result = tasks.note.enqueue("x")
            assert (result.status, result.enqueued_at, tasks.ran) == (READY, None, [])
        result.refresh()
        assert (result.status, tasks.ran) == (SUCCESSFUL, ["x"])

    def test_or_not(self) -> None:
        with options(on_commit=False):
            assert tasks.note.enqueue("x").status == SUCCESSFUL


class TestTransactions(TransactionTestCase):
    available_apps = ("django.contrib.contenttypes", "django.contrib.auth", "hendrix.django", "ledger")

    def test_it_is_enqueued_when_the_transaction_commits(self) -> None:
        with transaction.atomic():
            result = tasks.note.enqueue("x")
            assert (result.enqueued_at, result.status, tasks.ran) == (None, READY, [])
        result.refresh()
        assert (result.status, tasks.ran) == (SUCCESSFUL, ["x"])
        assert result.enqueued_at is not None

    def test_it_never_runs_if_the_transaction_rolls_back(self) -> None:
        heard: list[Any] = []

        def receiver(**_: Any) -> None:
            heard.append(1)

        task_enqueued.connect(receiver)
        task_finished.connect(receiver)
        self.addCleanup(task_enqueued.disconnect, receiver)
        self.addCleanup(task_finished.disconnect, receiver)
        results: list[Any] = []

        def work() -> None:
            with transaction.atomic():
                results.append(tasks.note.enqueue("x"))
                raise KeyError

        with pytest.raises(KeyError):
            work()
        (result,) = results
        result.refresh()
        assert (tasks.ran, result.status, result.enqueued_at, heard) == ([], FAILED, None, [])
        assert "its transaction did not commit" in result.errors[0].traceback

    def test_in_a_request_it_joins_the_response_when_the_transaction_commits(self) -> None:
        def view(request):
            with transaction.atomic():
                tasks.note.enqueue("committed")
            assert tasks.ran == []
            return HttpResponse()

        set_probe(view)
        Client().get("/probe/")
        assert tasks.ran == ["committed"]

    def test_on_commit_may_be_turned_off(self) -> None:
        with options(on_commit=False), transaction.atomic():
            assert tasks.note.enqueue("x").status == SUCCESSFUL


def test_a_fixture_holds_tasks(crosstown: HeldTraffic) -> None:
    with options(on_commit=False):
        result = tasks.answer.enqueue()
    assert len(crosstown) == 1
    crosstown.run()
    result.refresh()
    assert result.return_value == 42


def test_the_api_is_that_of_this_django() -> None:
    assert Task.__module__ == ("django_tasks.base" if BACKPORT else "django.tasks.base")
    assert BACKPORT or django.VERSION >= (6,)
