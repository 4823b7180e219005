"""What a task finds around it in a Django project: its language, its time zone, connections of its own thread."""

from __future__ import annotations

import contextvars
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import Client, TransactionTestCase
from django.utils import timezone, translation
from ledger.models import Line
from ledger.views import set_probe

from hendrix.crosstown import around, traffic
from hendrix.crosstown.dispatcher import Dispatcher
from hendrix.crosstown.task import CANCELLED, DONE, Task
from hendrix.crosstown.traffic import crosstown_traffic
from hendrix.django import surroundings as module
from hendrix.django.surroundings import fresh_connections
from hendrix.testing import held_traffic

DEADLINE = 30.0
request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id")


def on_a_thread(function) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join(DEADLINE)
    assert not thread.is_alive()


def where() -> tuple[str | None, str, str]:
    return translation.get_language(), timezone.get_current_timezone_name(), request_id.get("none")


@pytest.mark.parametrize("language", ["de", "fr", None])
def test_language_time_zone_and_request_id_follow_to_another_thread(language: str | None) -> None:
    with held_traffic() as held, translation.override(language), timezone.override("Asia/Tokyo"):
        token = request_id.set("abc")
        handle = crosstown_traffic(where)
        request_id.reset(token)
        with translation.override("en"), timezone.override("UTC"):
            on_a_thread(held.run)
    assert handle.result(0) == (language, "Asia/Tokyo", "abc")


def test_what_a_task_activates_stays_with_it() -> None:
    with held_traffic() as held:
        crosstown_traffic(lambda: translation.activate("de"))
        before = where()
        held.run()
        assert where() == before


def test_under_the_client_the_language_of_the_view_follows() -> None:
    seen: list[object] = []

    def view(request):
        with translation.override("fr"):
            crosstown_traffic(lambda: seen.append(translation.get_language()))
        return HttpResponse()

    set_probe(view)
    Client().get("/probe/")
    assert seen == ["fr"]


def test_it_is_set_up_once() -> None:
    from django.apps import apps

    apps.get_app_config("hendrix").ready()
    assert around.around.count(fresh_connections) == 1
    assert len(traffic.carrying) == 1


def test_hendrix_imports_no_django_by_itself() -> None:
    script = "import sys, hendrix; [getattr(hendrix, n) for n in hendrix.__all__]; print('django' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


class TestConnections(TransactionTestCase):
    available_apps = ("django.contrib.contenttypes", "django.contrib.auth", "hendrix.django", "ledger")

    def closed_by(self, task: Task, **attributes: object) -> list[str]:
        """What closes the connections after the task (those of SQLite in memory never really close)."""
        calls: list[str] = []
        originals = module.close_old_connections, module.connections
        module.close_old_connections = lambda: calls.append("close_old")
        module.connections = SimpleNamespace(close_all=lambda: calls.append("close_all"))
        try:
            for name, value in attributes.items():
                setattr(task, name, value)
            on_a_thread(lambda: Dispatcher(None, 0).run(task))
        finally:
            module.close_old_connections, module.connections = originals
        return calls[1:]

    def test_a_task_of_a_response_closes_what_is_old(self) -> None:
        task = Task(Line.objects.count, "count", frozenset())
        assert self.closed_by(task, response=SimpleNamespace(title="GET /", request_id="one")) == ["close_old"]
        assert task.state == DONE

    def test_a_thread_that_ends_with_its_task_closes_all(self) -> None:
        assert self.closed_by(Task(Line.objects.count, "count", frozenset())) == ["close_all"]

    def test_an_author_keeps_his_own(self) -> None:
        assert self.closed_by(Task(Line.objects.count, "count", frozenset()), inline=True) == []
        with transaction.atomic():
            Line.objects.create(text="open")
            crosstown_traffic(lambda: Line.objects.create(text="inline"))
            assert connection.in_atomic_block
            assert Line.objects.count() == 2

    def test_outside_a_response_after_commit_waits_as_well(self) -> None:
        states: list[bool] = []
        with transaction.atomic():
            crosstown_traffic(lambda: states.append(connection.in_atomic_block), after_commit="default")
            assert states == []
        assert states == [False]
        crosstown_traffic(lambda: states.append(connection.in_atomic_block), after_commit=True)
        assert states == [False, False]

    def test_a_savepoint_that_rolls_back_takes_its_tasks_along(self) -> None:
        with held_traffic() as held:
            with transaction.atomic():
                outer = crosstown_traffic(lambda: None, after_commit=True)
                with transaction.atomic():
                    inner = crosstown_traffic(lambda: None, after_commit=True)
                    transaction.set_rollback(True)
                assert (inner.state, held.tasks) == (CANCELLED, [])
            assert held.tasks == [outer]

    def test_tasks_join_in_the_order_of_commit(self) -> None:
        with held_traffic() as held:
            with transaction.atomic():
                crosstown_traffic(lambda: None, name="waits 1", after_commit=True)
                crosstown_traffic(lambda: None, name="at once")
                crosstown_traffic(lambda: None, name="waits 2", after_commit=True)
            assert [task.name for task in held] == ["at once", "waits 1", "waits 2"]

    def test_manual_transactions_are_refused(self) -> None:
        transaction.set_autocommit(False)
        try:
            with pytest.raises(transaction.TransactionManagementError):
                crosstown_traffic(lambda: None, after_commit=True)
        finally:
            transaction.rollback()
            transaction.set_autocommit(True)


def test_after_commit_without_the_app_says_what_to_do() -> None:
    hook, traffic.start_on_commit = traffic.start_on_commit, None
    try:
        with pytest.raises(traffic.NoTransactions, match="INSTALLED_APPS"):
            crosstown_traffic(lambda: None, after_commit=True)
    finally:
        traffic.start_on_commit = hook
