"""Under Django's test client tasks run when the response is closed: in order, past the gate, inside the transactions of a TestCase."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from django.core.signals import request_finished
from django.db import connection, transaction
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.test import Client, SimpleTestCase, TestCase, TransactionTestCase, override_settings
from ledger.models import Line
from ledger.views import set_probe

from hendrix.crosstown.task import CANCELLED, DONE, NO_GO, WAITING, Task
from hendrix.crosstown.traffic import crosstown_traffic, current
from hendrix.testing import AsyncTestMixin, HeldTraffic, held_traffic


def texts() -> list[str]:
    return list(Line.objects.order_by("pk").values_list("text", flat=True))


class TestRunning(SimpleTestCase):
    def test_they_run_in_order_when_the_response_is_complete(self) -> None:
        ran: list[str] = []

        def view(request):
            crosstown_traffic(lambda: ran.append("one"))
            crosstown_traffic(lambda: ran.append("two"), same_thread=True)
            crosstown_traffic(lambda: ran.append("three"))
            request.environ["hendrix.after_response"].append(lambda: ran.append("plain"))
            ran.append("view")
            return HttpResponse("ok")

        set_probe(view)
        assert self.client.get("/probe/").status_code == 200
        assert ran == ["view", "one", "two", "three", "plain"]
        assert current.get() is None

    def test_they_run_on_the_thread_of_the_test(self) -> None:
        threads: list[int] = []
        set_probe(lambda request: crosstown_traffic(lambda: threads.append(threading.get_ident())) and HttpResponse())
        self.client.get("/probe/")
        assert threads == [threading.get_ident()]

    def test_the_real_status_gates_them(self) -> None:
        tasks: list[Task] = []

        def view(request):
            tasks[:] = [crosstown_traffic(lambda: None), crosstown_traffic(lambda: None, no_go_status_codes=["5xx"])]
            raise Http404

        set_probe(view)
        assert self.client.get("/probe/").status_code == 404
        assert [task.state for task in tasks] == [NO_GO, DONE]

    def test_a_view_that_raises_counts_as_500(self) -> None:
        tasks: list[Task] = []

        def view(request):
            tasks[:] = [crosstown_traffic(lambda: None), crosstown_traffic(lambda: None, no_go_status_codes=[])]
            raise KeyError("broken")

        set_probe(view)
        with pytest.raises(KeyError):
            self.client.get("/probe/")
        assert [task.state for task in tasks] == [NO_GO, DONE]
        assert Client(raise_request_exception=False).get("/probe/").status_code == 500

    @override_settings(DEBUG_PROPAGATE_EXCEPTIONS=True)
    def test_tasks_of_a_view_whose_error_comes_through_are_cancelled(self) -> None:
        tasks: list[Task] = []

        def view(request):
            tasks.append(crosstown_traffic(lambda: None))
            raise KeyError("broken")

        set_probe(view)
        with pytest.raises(KeyError):
            self.client.get("/probe/")
        assert tasks[0].state == CANCELLED
        assert current.get() is None

    def test_what_a_task_raises_the_client_raises_when_the_others_have_run(self) -> None:
        ran: list[str] = []

        def view(request):
            crosstown_traffic(lambda: 1 / 0)
            crosstown_traffic(lambda: ran.append("next"))
            return HttpResponse()

        set_probe(view)
        with pytest.raises(ZeroDivisionError):
            self.client.get("/probe/")
        response = Client(raise_request_exception=False).get("/probe/")
        assert (response.status_code, ran, response.exc_info[0]) == (200, ["next", "next"], ZeroDivisionError)

    def test_a_streaming_body_is_read_first_and_may_queue_more(self) -> None:
        ran: list[str] = []

        def body() -> Iterator[str]:
            yield "a"
            crosstown_traffic(lambda: ran.append("from the body"))
            ran.append("body")
            yield "b"

        def view(request):
            crosstown_traffic(lambda: ran.append("from the view"))
            return StreamingHttpResponse(body())

        set_probe(view)
        response = self.client.get("/probe/")
        assert ran == []
        assert b"".join(response.streaming_content) == b"ab"
        assert ran == ["body", "from the view", "from the body"]
        response.close()
        assert len(ran) == 3

    def test_a_streaming_response_that_is_closed_runs_them_too(self) -> None:
        ran: list[str] = []
        set_probe(lambda request: crosstown_traffic(lambda: ran.append("ran")) and StreamingHttpResponse(["a"]))
        self.client.get("/probe/").close()
        assert ran == ["ran"]

    def test_a_task_of_a_streaming_response_that_fails_is_raised_by_its_end(self) -> None:
        set_probe(lambda request: crosstown_traffic(lambda: 1 / 0) and StreamingHttpResponse(["a"]))
        response = self.client.get("/probe/")
        receivers = len(request_finished.receivers)
        with pytest.raises(ZeroDivisionError):
            list(response.streaming_content)
        assert len(request_finished.receivers) == receivers

    def test_each_request_has_its_own(self) -> None:
        ran: list[str] = []
        inner = Client()

        def view(request):
            if "inner" in request.GET:
                crosstown_traffic(lambda: ran.append("inner"))
            else:
                crosstown_traffic(lambda: ran.append("outer"))
            return HttpResponse()

        set_probe(view)
        self.client.get("/probe/")
        inner.get("/probe/?inner")
        assert ran == ["outer", "inner"]


class TestHeld(AsyncTestMixin, SimpleTestCase):
    def test_what_the_test_holds_does_not_run(self) -> None:
        handles: list[Task] = []
        set_probe(lambda request: handles.append(crosstown_traffic(lambda: None)) or HttpResponse(status=201))
        self.client.get("/probe/")
        self.assertNumCrosstownTasks(1)
        assert handles[0].state == WAITING
        self.next_task()()
        assert handles[0].state == DONE

    def test_the_status_of_the_response_is_the_default(self) -> None:
        handles: list[Task] = []
        set_probe(lambda request: handles.append(crosstown_traffic(lambda: None)) or HttpResponse(status=404))
        self.client.get("/probe/")
        self.crosstown.run()
        assert handles[0].state == NO_GO


def test_the_fixture_holds_requests(crosstown: HeldTraffic) -> None:
    ran: list[str] = []
    set_probe(lambda request: crosstown_traffic(lambda: ran.append("ran")) and HttpResponse())
    Client().get("/probe/")
    assert (len(crosstown), ran) == (1, [])
    crosstown.run()
    assert ran == ["ran"]


class TestInsideATestCase(TestCase):
    def test_a_task_sees_and_writes_the_data_of_the_test(self) -> None:
        Line.objects.create(text="of the test")
        seen: list[str] = []

        def view(request):
            Line.objects.create(text="of the view")

            @crosstown_traffic
            def task() -> None:
                seen.extend(texts())
                Line.objects.create(text="of the task")

            return HttpResponse()

        set_probe(view)
        self.client.get("/probe/")
        assert seen == ["of the test", "of the view"]
        assert texts() == ["of the test", "of the view", "of the task"]
        assert connection.in_atomic_block

    def test_and_is_gone_with_it(self) -> None:
        assert texts() == []

    def test_after_commit_runs_though_the_test_never_commits(self) -> None:
        ran: list[str] = []

        def view(request):
            with transaction.atomic():
                crosstown_traffic(lambda: ran.append("committed"), after_commit=True)
                crosstown_traffic(lambda: ran.append("plain"))
            return HttpResponse()

        set_probe(view)
        self.client.get("/probe/")
        assert ran == ["plain", "committed"]

    def test_after_commit_does_not_run_when_the_view_rolls_back(self) -> None:
        handles: list[Task] = []

        def view(request):
            try:
                with transaction.atomic():
                    handles.append(crosstown_traffic(lambda: None, after_commit=True))
                    raise KeyError
            except KeyError:
                return HttpResponse()

        set_probe(view)
        self.client.get("/probe/")
        assert handles[0].state == CANCELLED

    def test_what_waited_before_the_request_still_waits(self) -> None:
        handle = crosstown_traffic(lambda: None, after_commit=True)
        set_probe(lambda request: HttpResponse())
        self.client.get("/probe/")
        assert handle.state == WAITING

    def test_captured_callbacks_do_not_run_them_twice(self) -> None:
        ran: list[str] = []
        others: list[str] = []

        def view(request):
            crosstown_traffic(lambda: ran.append("task"), after_commit=True)
            transaction.on_commit(lambda: others.append("callback"))
            return HttpResponse()

        set_probe(view)
        with self.captureOnCommitCallbacks(execute=True):
            self.client.get("/probe/")
            assert (ran, others) == (["task"], [])
        assert (ran, others) == (["task"], ["callback"])

    def test_held_traffic_holds_what_waited_for_a_commit(self) -> None:
        set_probe(lambda request: crosstown_traffic(lambda: None, after_commit=True) and HttpResponse())
        with held_traffic() as traffic:
            self.client.get("/probe/")
            assert len(traffic) == 1


class TestWithTransactions(TransactionTestCase):
    available_apps = ("django.contrib.contenttypes", "django.contrib.auth", "hendrix.django", "ledger")

    def test_after_commit_runs_after_the_commit_and_on_rollback_never(self) -> None:
        states: list[object] = []

        def view(request):
            try:
                with transaction.atomic():
                    Line.objects.create(text="order")
                    handle = crosstown_traffic(lambda: states.append((texts(), connection.in_atomic_block)), after_commit=True)
                    if "fail" in request.GET:
                        raise KeyError
            finally:
                states.append(handle.state)
            return HttpResponse()

        set_probe(view)
        self.client.get("/probe/")
        assert states == [WAITING, (["order"], False)]
        with pytest.raises(KeyError):
            self.client.get("/probe/?fail")
        assert states[2:] == [CANCELLED]

    def test_atomic_requests(self) -> None:
        ran: list[object] = []

        def view(request):
            Line.objects.create(text="order")
            crosstown_traffic(lambda: ran.append(texts()), after_commit=True, no_go_status_codes=[])
            if "fail" in request.GET:
                raise KeyError
            return HttpResponse()

        set_probe(view)
        connection.settings_dict["ATOMIC_REQUESTS"] = True
        try:
            self.client.get("/probe/")
            assert ran == [["order"]]
            Client(raise_request_exception=False).get("/probe/?fail")
            assert ran == [["order"]]
        finally:
            connection.settings_dict["ATOMIC_REQUESTS"] = False
