"""A response: its tasks follow when it has ended and is out, whichever comes first, and those that want its thread find it waiting."""

from __future__ import annotations

import threading

import pytest
from crew import Crew

from hendrix.channel import response as module
from hendrix.channel.response import Response
from hendrix.crosstown.dispatcher import Dispatcher
from hendrix.crosstown.traffic import crosstown_traffic, current
from hendrix.wire.forwarded import TrustedProxies
from hendrix.wire.http1 import Request


@pytest.fixture
def crew():
    return Crew()


@pytest.fixture
def response(crew):
    request = Request()
    request.method, request.target, request.fields = "GET", "/", {}
    response = Response(request, None, Dispatcher(crew, 2, patience=1))
    response.code = "200"
    token = current.set(response)
    yield response
    current.reset(token)


def test_it_has_ended_and_then_is_out(crew, response):
    task = crosstown_traffic(list)
    response.ended()
    assert not crew.jobs
    response.went_out()
    crew.step_all()
    assert task.state == "done" and task.response is None


def test_it_is_out_and_then_has_ended(crew, response):
    task = crosstown_traffic(list)
    response.went_out()
    assert not crew.jobs
    response.ended()
    crew.step_all()
    assert task.state == "done"


def test_a_task_that_comes_when_all_is_over(crew, response):
    response.went_out()
    response.closed = True
    task = crosstown_traffic(list)
    crew.step_all()
    assert task.state == "done"


def test_what_was_put_into_the_list_by_hand(crew, response):
    ran = []
    response.after.append(lambda: ran.append(current.get()))
    response.ended()
    assert not response._dispatcher.idle and response.after[0].origin == "GET /"
    response.went_out()
    crew.step_all()
    assert ran == [response]


def test_the_serving_thread_waits_for_the_client(crew, response, monkeypatch):
    waiting = threading.Event()
    monkeypatch.setattr(response._dispatcher, "kept", waiting.set)
    ran = []
    for name in "ab":
        crosstown_traffic(same_thread=True)(lambda name=name: ran.append((name, threading.get_ident())))
    crosstown_traffic(list)
    timer = threading.Timer(0.05, response.went_out)
    timer.start()
    response.ended()
    timer.join()
    assert waiting.is_set() and ran == [("a", threading.get_ident()), ("b", threading.get_ident())]
    crew.step_all()
    assert response._dispatcher.counts.done == 3


@pytest.mark.parametrize("over", [True, False], ids=["others wait already", "it still has the connection"])
def test_a_thread_that_may_not_wait_does_not(crew, response, over):
    if over:
        assert response._dispatcher.keep_waiting()
    task = crosstown_traffic(list, same_thread=True)
    response.ended(over)
    assert task.state == "waiting"
    response.went_out()
    crew.step_all()
    assert task.state == "done" and response._dispatcher.idle


def test_the_wire_timeout(crew, response, monkeypatch):
    monkeypatch.setattr(module, "WIRE_TIMEOUT", 0.01)
    task = crosstown_traffic(list, same_thread=True)
    response.ended()
    assert task.state == "done"
    response.went_out()
    assert not crew.jobs and response._dispatcher.keep_waiting()


def test_an_id_of_its_own(response):
    response._request.fields["HTTP_X_REQUEST_ID"] = "of anybody"
    assert len(response.request_id) == 16 and response.request_id == response.request_id


@pytest.mark.parametrize(
    ("address", "given", "believed"), [("10.0.0.1", "a-7", True), ("10.0.0.1", "a 7", False), ("10.0.0.2", "a-7", False)]
)
def test_an_id_that_a_proxy_has_given(response, address, given, believed):
    response._request.fields["HTTP_X_REQUEST_ID"] = given
    response.proxy = TrustedProxies(["10.0.0.1"]), address
    assert (response.request_id == given) == believed
