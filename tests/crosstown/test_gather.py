"""gather: side by side, in order, no deadlock, nothing left behind."""

from __future__ import annotations

import contextvars
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

import hendrix
from hendrix.crosstown import around, gather as module
from hendrix.crosstown.gather import LIMIT, NestedGather, gather
from hendrix.crosstown.task import Task, enclosing
from hendrix.crosstown.traffic import crosstown_traffic, current
from hendrix.threads import spare as threads

DEADLINE = 20.0  # seconds; only a test that fails waits for them


def wait_until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def fail(error: BaseException) -> None:
    raise error


def test_the_calls_run_at_the_same_time_and_results_come_in_order() -> None:
    met = threading.Barrier(3)

    def call(number: int) -> int:
        met.wait(DEADLINE)  # breaks unless all three are there
        return number

    assert gather([partial(call, 1), partial(call, 2), partial(call, 3)]) == [1, 2, 3]
    assert gather([]) == []
    assert hendrix.gather is gather


def test_no_more_than_the_limit_run_at_a_time_and_all_do() -> None:
    running, most, lock = 0, 0, threading.Lock()
    full = threading.Barrier(LIMIT)

    def call(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        full.wait(DEADLINE)
        with lock:
            running -= 1
        return number

    assert gather(partial(call, n) for n in range(2 * LIMIT)) == list(range(2 * LIMIT))
    assert most == LIMIT


def test_the_first_error_in_order_is_raised_and_has_the_others() -> None:
    second_has_failed = threading.Event()

    def first() -> None:
        assert second_has_failed.wait(DEADLINE)
        raise KeyError("first")

    def second() -> None:
        second_has_failed.set()
        raise ValueError("second")

    with pytest.raises(KeyError, match="first") as raised:
        gather([first, second, lambda: "fine"])
    [other] = raised.value.others
    assert isinstance(other, ValueError)
    if sys.version_info >= (3, 11):
        assert raised.value.__notes__ == ["another call of the same gather() raised ValueError('second')"]
    assert any("first" in frame.name for frame in raised.traceback), "where it was raised is part of the traceback"


def test_one_error_that_two_raise_is_not_another() -> None:
    error = ValueError("the same")
    with pytest.raises(ValueError, match="the same") as raised:
        gather([partial(fail, error), partial(fail, error)])
    assert raised.value.others == ()


def test_after_an_error_no_further_call_begins_and_those_that_run_are_waited_for() -> None:
    began: list[int] = []
    failed, ended = threading.Event(), threading.Event()

    def slow() -> None:
        assert failed.wait(DEADLINE)
        ended.set()

    def bad() -> None:
        failed.set()
        raise ValueError

    fill = [slow] * (LIMIT - 1)
    with pytest.raises(ValueError):
        gather([bad, *fill, *(partial(began.append, n) for n in range(LIMIT * 3))])
    assert ended.is_set()
    assert len(began) < LIMIT * 3


def test_a_timeout_names_the_calls_that_had_not_ended() -> None:
    never = threading.Event()

    def lazy() -> None:
        never.wait(DEADLINE)

    try:
        with pytest.raises(TimeoutError, match=r"gather: 1 of 3 calls had not ended after 1 s: \S+lazy\b") as raised:
            gather([int, lazy, partial(fail, KeyError("k"))], timeout=1)
        assert [type(other) for other in raised.value.others] == [KeyError]
    finally:
        never.set()


def test_calls_beyond_the_limit_that_never_began_are_named_too() -> None:
    never, began = threading.Event(), threading.Semaphore(0)

    def lazy() -> None:
        began.release()
        never.wait(DEADLINE)

    try:
        with pytest.raises(TimeoutError, match=rf"{LIMIT + 1} of {LIMIT + 1} calls"):
            gather([lazy] * LIMIT + [never.set], timeout=0.05)
        assert not never.is_set()
    finally:
        never.set()


def test_it_does_not_nest_also_not_in_disguise() -> None:
    with pytest.raises(NestedGather, match="give all calls to the outer one"):
        gather([lambda: gather([int])])
    assert gather([int]) == [0], "the thread may make calls again"
    with ThreadPoolExecutor(1) as pool:  # its thread is nobody's call, even in the context of one
        inside: list[list[int]] = gather([lambda: pool.submit(contextvars.copy_context().run, gather, [int]).result(DEADLINE)])
    assert inside == [[0]]


def test_many_at_once_wait_for_none_of_the_others() -> None:
    """A pool that has a limit would be full of calls that wait for others' calls."""
    met = threading.Barrier(100)
    with ThreadPoolExecutor(50) as views:
        done = [views.submit(gather, [partial(met.wait, DEADLINE)] * 2) for _ in range(50)]
        assert all(len(each.result(DEADLINE)) == 2 for each in done)


def test_each_call_has_the_context_of_its_author_and_changes_only_its_own() -> None:
    variable = contextvars.ContextVar("variable", default="none")

    def call(value: str) -> str:
        before = variable.get()
        variable.set(value)
        return before

    variable.set("mine")
    assert gather([partial(call, "a"), partial(call, "b")]) == ["mine", "mine"]
    assert variable.get() == "mine"


def test_a_task_that_is_queued_in_a_call_follows_the_response() -> None:
    """It does not wait for the call, which is no task of the response."""

    class Response:
        after: list[Task] = []

        def follow_with(self, task: Task) -> None:
            assert enclosing.get() is None
            self.after.append(task)

    response = Response()
    token = current.set(response)  # type: ignore[arg-type]
    try:
        handles = gather([partial(crosstown_traffic, int)])
    finally:
        current.reset(token)
    assert response.after == handles


def test_what_is_no_callable_is_refused_before_anything_runs() -> None:
    ran: list[int] = []
    with pytest.raises(TypeError, match="takes callables, not 3: partial"):
        gather([partial(ran.append, 1), 3])  # type: ignore[list-item]
    assert not ran


def test_what_is_around_a_task_is_around_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    @contextmanager
    def manager(task: Task):  # type: ignore[no-untyped-def]
        said.append(f"before {task.name}")
        yield
        said.append("after")

    monkeypatch.setattr(around, "around", [manager])
    assert gather([int]) == [0]
    assert said == ["before int", "after"]


def test_what_is_around_and_raises_is_the_error_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def manager(task: Task) -> None:
        raise OSError("no database")

    monkeypatch.setattr(around, "around", [manager])
    with pytest.raises(OSError, match="no database"):
        gather([int])


def test_connections_of_django_are_closed_on_the_thread_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[int] = []
    connections = SimpleNamespace(close_all=lambda: closed.append(threading.get_ident()))
    monkeypatch.setitem(sys.modules, "django.db", SimpleNamespace(connections=connections))  # type: ignore[misc]
    assert gather([threading.get_ident]) == closed
    connections.close_all = partial(fail, OSError("it is gone"))
    monkeypatch.setattr(module.log, "failure", closed.append)
    assert gather([int]) == [0]
    assert closed[1:] == ["gather: closing Django's database connections failed"]


def test_connections_of_django_are_closed_in_earnest(tmp_path: Path) -> None:
    pytest.importorskip("django")
    program = """
from django.conf import settings
settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3", "CONN_MAX_AGE": None}})
import django, hendrix
django.setup()
from django.db import connections
def call():
    wrapper = connections["default"]
    wrapper.cursor().execute("SELECT 1")
    assert wrapper.connection is not None
    return wrapper
call()
[wrapper] = hendrix.gather([call])
assert wrapper is not connections["default"]
assert wrapper.connection is None
assert connections["default"].connection is not None
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr


def test_threads_are_used_again_and_leave_when_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    wait_until(lambda: all(thread in threads._idle for thread in threading.enumerate() if isinstance(thread, threads.Spare)))
    [first] = gather([threading.current_thread])
    wait_until(lambda: first in threads._idle)
    assert gather([threading.current_thread]) == [first]
    assert first.daemon

    monkeypatch.setattr(threads, "IDLE", 0.001)
    monkeypatch.setattr(threads, "_idle", [])  # those of before wait their ten seconds
    [other] = gather([threading.current_thread])
    assert other is not first
    other.join(DEADLINE)
    assert not other.is_alive()
    assert not threads._idle


def test_the_end_of_the_process_does_not_wait_and_nothing_starts_at_import() -> None:
    program = """
import threading, hendrix
hendrix.gather
assert threading.active_count() == 1, threading.enumerate()
try:
    hendrix.gather([threading.Event().wait], timeout=0.01)
except TimeoutError:
    print("timeout")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=DEADLINE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "timeout\n", "")


def test_it_works_in_a_child_of_fork() -> None:
    program = """
import os, hendrix
assert hendrix.gather([int]) == [0]
pid = os.fork()
if not pid:
    os._exit(hendrix.gather([lambda: 7], timeout=10)[0])
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
