"""The decorator: forms, options, and where there is no response."""

from __future__ import annotations

import contextvars
import threading
from functools import partial

import pytest
from crew import pair

from hendrix.crosstown.gate import DEFAULT, parse
from hendrix.crosstown.task import DONE, FAILED, WAITING, Task
from hendrix.crosstown.traffic import NoResponse, alone, crosstown_traffic, current


@pytest.fixture
def outside():
    token = current.set(None)
    yield
    current.reset(token)


@pytest.fixture
def inside():
    crew, dispatcher, response = pair()

    def end():
        response.out = True
        dispatcher.follow(response, serving=True)
        crew.step_all()

    with response:
        yield response, end


class Phone:
    def __init__(self):
        self.called = []

    def call(self, *numbers, **words):
        self.called.append((numbers, words))
        return len(self.called)


def test_each_form_waits_for_the_response_and_gives_a_handle(inside):
    response, end = inside
    phone = Phone()

    @crosstown_traffic
    def bare():
        phone.call("bare")

    @crosstown_traffic()
    def with_parentheses():
        phone.call("parentheses")

    @crosstown_traffic(name="with options", same_thread=True, no_go_status_codes=["5xx", "400-405", 302])
    def with_options():
        phone.call("options")

    handles = [
        bare,
        with_parentheses,
        with_options,
        crosstown_traffic(phone.call),
        crosstown_traffic(name="called")(phone.call),
        crosstown_traffic(phone.call, name="named", serial=True),
        crosstown_traffic(partial(phone.call, 1, to=2)),
        crosstown_traffic(lambda: phone.call("lambda")),
        crosstown_traffic.run(phone.call, 3, function=4, name=5, same_thread=6),
    ]
    assert response.after == handles and all(type(handle) is Task and handle.state == WAITING for handle in handles)
    assert phone.called == []
    names = [handle.name for handle in handles]
    assert names[0].endswith("bare") and names[1].endswith("with_parentheses") and names[2] == "with options"
    assert names[3:6] == ["Phone.call", "called", "named"] and names[6] == "Phone.call" and names[8] == "Phone.call"
    assert with_options.same_thread and with_options.no_go == parse(["5xx", "400-405", 302]) and handles[5].serial
    assert bare.no_go == handles[8].no_go == parse(DEFAULT)
    end()
    assert all(handle.state == DONE for handle in handles)
    assert ((1,), {"to": 2}) in phone.called and ((3,), {"function": 4, "name": 5, "same_thread": 6}) in phone.called


@pytest.mark.parametrize("code", ["6x", 99, 4.04, None, "405-400"], ids=repr)
def test_a_list_of_codes_with_nonsense_is_refused_at_decoration(inside, code):
    with pytest.raises(ValueError, match='"400-405"'):
        crosstown_traffic(no_go_status_codes=[code])
    with pytest.raises(ValueError, match='"400-405"'):
        crosstown_traffic(lambda: None, no_go_status_codes=[code])
    assert inside[0].after == []


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"on_disconnect": "perhaps"}, ValueError),
        ({"same_thread": True, "serial": True}, ValueError),
        ({"timeout_warning": 0}, ValueError),
        ({"timeout_warning": "soon"}, ValueError),
        ({"same_tread": True}, TypeError),
        ({"no_go_status_codes": 4.04}, ValueError),
    ],
    ids=repr,
)
def test_options_are_checked_at_decoration_in_each_form(inside, options, error):
    with pytest.raises(error):
        crosstown_traffic(**options)
    with pytest.raises(error):
        crosstown_traffic(lambda: None, **options)
    assert inside[0].after == []


@pytest.mark.parametrize("thing", [3, "name", object(), [len]], ids=["number", "text", "object", "list"])
def test_what_cannot_be_called_is_refused(thing):
    with pytest.raises(TypeError, match="can be called"):
        crosstown_traffic()(thing)
    with pytest.raises(TypeError, match="can be called"):
        crosstown_traffic(thing)


def test_one_decorator_may_be_used_many_times(inside):
    response, end = inside
    seen = []
    later = crosstown_traffic(serial=True)
    for number in range(5):
        later(partial(seen.append, number))
    end()
    assert len(response.after) == 0 and seen == list(range(5))


@pytest.mark.usefixtures("outside")
class TestOutside:
    def test_it_runs_at_once_and_here(self):
        seen = []
        handle = crosstown_traffic(lambda: seen.append(threading.get_ident()) or 7)
        assert seen == [threading.get_ident()] and handle.state == DONE and handle.result(0) == 7

    def test_without_blocking_it_runs_on_a_thread(self):
        here, go = [], threading.Event()

        @crosstown_traffic(block_without_response=False, name="aside")
        def aside():
            go.wait(30)
            here.append(threading.current_thread().name)

        assert here == []
        go.set()
        aside.result(30)
        assert here == ["aside"]

    def test_it_fails_if_that_was_asked_for(self):
        seen = []
        with pytest.raises(NoResponse, match="aside"):
            crosstown_traffic(fail_without_response=True, name="aside")(partial(seen.append, 1))
        assert seen == []

    def test_a_failure_is_in_the_handle_and_told_of(self, monkeypatch):
        told = []
        monkeypatch.setattr(crosstown_traffic, "on_error", lambda task, error: told.append((task.name, type(error))))

        @crosstown_traffic(name="broken")
        def broken():
            raise LookupError

        assert broken.state == FAILED and told == [("broken", LookupError)]
        with pytest.raises(LookupError):
            broken.result(0)

    def test_nothing_is_left_of_it(self):
        crosstown_traffic(lambda: crosstown_traffic(lambda: 1 / 0))
        assert alone.idle and not alone.running


def test_a_thread_belongs_to_the_response_whose_context_it_copied(inside):
    response, end = inside
    context = contextvars.copy_context()
    threads = [
        threading.Thread(target=context.run, args=(crosstown_traffic, len)),
        threading.Thread(target=crosstown_traffic.run, args=(list,)),
    ]
    for thread in threads:
        thread.start()
        thread.join()
    assert [task.name for task in response.after] == ["len"], "the other one ran at once"
    response.out = True
    end()
    seen = []
    thread = threading.Thread(target=context.run, args=(crosstown_traffic, lambda: seen.append(1)))
    thread.start()
    thread.join()
    end()
    assert seen == [1], "one that comes when the response is over runs, too"
