"""The handle of a task: states, result, cancelling, and what it keeps."""

from __future__ import annotations

import contextvars
import gc
import threading
import weakref
from functools import partial

import pytest

from hendrix.crosstown.task import CANCELLED, DONE, FAILED, NO_GO, RUNNING, WAITING, NoGo, Task, TaskCancelled, name_of


def task(function=lambda: None, **options):
    return Task(function, "it", frozenset(), **options)


def test_a_task_that_returns():
    seen = []
    it = task(lambda: seen.append(it.state) or 7)
    assert it.state == WAITING and it.begin() and it.state == RUNNING
    assert it.thread == threading.get_ident() and it.started >= it.queued
    it.call()
    assert (it.state, it.result(), it.error, seen) == (DONE, 7, None, [RUNNING])


def test_a_task_that_raises_gives_that_to_whoever_asks():
    error = LookupError("no")
    it = task(partial(_raise, error))
    it.begin()
    it.call()
    assert it.state == FAILED and it.error is error
    for _ in range(2):
        with pytest.raises(LookupError) as raised:
            it.result(0)
        assert raised.value is error


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), BaseException("all")], ids=repr)
def test_what_would_end_a_program_ends_the_task_only(error):
    it = task(partial(_raise, error))
    it.begin()
    it.call()
    assert it.state == FAILED and it.error is error


def test_a_result_that_is_not_there_in_time():
    it = task()
    with pytest.raises(TimeoutError, match="it has not ended after 0 s"):
        it.result(0)


def test_a_result_is_waited_for():
    it = task(lambda: "late")
    waiting = threading.Event()
    got = []
    thread = threading.Thread(target=lambda: (waiting.set(), got.append(it.result(30))))
    thread.start()
    waiting.wait(30)
    it.begin()
    it.call()
    thread.join(30)
    assert got == ["late"]


def test_cancelled_before_it_starts_it_never_starts():
    it = task()
    assert it.cancel() and it.state == CANCELLED
    assert not it.cancel(), "once is enough"
    assert not it.begin()
    assert not it.stop(500)
    with pytest.raises(TaskCancelled, match="it was cancelled"):
        it.result(0)
    assert it.error is None


def test_what_has_begun_cannot_be_cancelled():
    it = task()
    it.begin()
    assert not it.cancel()
    it.call()
    assert not it.cancel() and it.state == DONE


def test_stopped_by_the_gate():
    it = task()
    assert it.stop(503) and it.state == NO_GO
    assert not it.begin() and not it.cancel()
    with pytest.raises(NoGo, match="503"):
        it.result(0)


def test_only_one_thread_begins_it():
    for _ in range(50):
        it = task()
        barrier = threading.Barrier(4)
        began = []
        threads = [
            threading.Thread(target=lambda it=it, barrier=barrier, began=began: (barrier.wait(30), began.append(it.begin())))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(began) == [False, False, False, True]


@pytest.mark.parametrize(
    "end", [lambda it: it.cancel(), lambda it: it.stop(500), lambda it: it.begin() and it.call()], ids=["cancel", "stop", "call"]
)
def test_what_it_closes_over_is_let_go_at_its_end(end):
    class Large:
        def __call__(self):
            pass

    large = Large()
    seen = weakref.ref(large)
    it = task(large)
    del large
    gc.collect()
    assert seen() is not None
    end(it)
    gc.collect()
    assert seen() is None


def test_it_runs_in_the_context_of_its_decoration_and_leaves_no_trace_in_it():
    colour = contextvars.ContextVar("colour", default="none")

    def run():
        before = colour.get()
        colour.set("changed")
        return before

    colour.set("red")
    it = task(run)
    colour.set("blue")
    it.begin()
    it.call()
    assert (it.result(), colour.get()) == ("red", "blue")


def test_a_coroutine_function_is_no_task():
    async def never():
        pass

    it = task(never)
    it.begin()
    it.call()
    with pytest.raises(TypeError, match="coroutine"):
        it.result(0)


def test_its_name_and_state_show():
    assert repr(task()) == "<crosstown task it: waiting>"


def test_names():
    class Named:
        def method(self):
            pass

        def __call__(self):
            pass

    assert name_of(Named.method).endswith("Named.method")
    assert name_of(Named().method).endswith("Named.method")
    assert name_of(partial(partial(Named().method, 1), 2)).endswith("Named.method")
    assert name_of(Named()).endswith("Named")
    assert name_of(lambda: None).endswith("<lambda>")
    assert name_of(len) == "len"


def _raise(error):
    raise error
