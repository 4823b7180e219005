"""process=True: there and back, one crash costs one task, and nothing is left at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness import Site
from hendrix.crosstown import processes, traffic
from hendrix.crosstown.dispatcher import Dispatcher
from hendrix.crosstown.process_worker import NotPickled
from hendrix.crosstown.processes import NoProcesses, NotPortable, Portable, ProcessDied, Processes
from hendrix.crosstown.task import Task
from hendrix.crosstown.traffic import crosstown_traffic, current

APPS = Path(__file__).parent / "apps"
DEADLINE = 30.0  # seconds; only a test that fails waits for them


def wait_until(true: Callable[[], object], what: str = "") -> None:
    deadline = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(APPS))
    import jobs

    return jobs


@pytest.fixture
def pool() -> Iterator[Processes]:
    pool = Processes(2)
    yield pool
    pool.dismiss()
    wait_until(lambda: pool.gone)


def call(pool: Processes, function: Callable[..., Any], *args: Any) -> Any:
    portable = Portable(partial(function, *args), "a task")
    portable.pool = pool
    return portable()


def alive(pid: int) -> bool:
    """A zombie is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


# There and back.


def test_a_result_comes_back_from_another_process_which_is_used_again(pool: Processes, jobs: Any) -> None:
    assert call(pool, jobs.add, 2, 3) == 5
    first = call(pool, jobs.where)
    assert first != os.getpid()
    assert call(pool, jobs.where) == first
    assert pool.describe() == "1 of 2 processes"


def test_large_arguments_and_results(pool: Processes, jobs: Any) -> None:
    assert call(pool, jobs.add, b"a" * 5_000_000, b"b") == b"a" * 5_000_000 + b"b"


def test_an_error_comes_back_with_its_traceback(pool: Processes, jobs: Any) -> None:
    with pytest.raises(ValueError, match="no such thing") as raised:
        call(pool, jobs.fail, "no such thing")
    assert "in fail\n    raise ValueError(text)" in str(raised.value.__cause__)
    with pytest.raises(SystemExit):
        call(pool, jobs.leave_politely)
    assert call(pool, jobs.add, 1, 1) == 2
    assert pool.died == 0


def test_what_cannot_be_pickled_on_its_way_back_is_an_error_that_says_so(pool: Processes, jobs: Any) -> None:
    with pytest.raises(NotPickled, match="returned a generator, which cannot be pickled"):
        call(pool, jobs.generator)
    with pytest.raises(NotPickled, match=r"raised Stubborn\(1\), which cannot be pickled"):
        call(pool, jobs.fail_stubbornly)
    assert call(pool, jobs.add, 1, 1) == 2


def test_the_signals_of_a_terminal_and_of_systemd_are_left_to_the_parent(pool: Processes, jobs: Any) -> None:
    assert call(pool, jobs.ignores_signals)


def test_django_is_set_up_there_if_it_is_here(pool: Processes, tmp_path: Path) -> None:
    (tmp_path / "conf.py").write_text("SECRET_KEY = 'x'\n")
    program = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "conf"
import django
django.setup()
import jobs
from hendrix.crosstown.processes import Portable, Processes
portable = Portable(jobs.django_is_ready, "a task")
portable.pool = pool = Processes(1)
assert portable() is True
pool.dismiss()
pool.kill()
"""
    paths = os.pathsep.join([str(APPS), str(tmp_path)])
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# What cannot go.


def test_what_is_not_at_the_top_of_a_module_is_refused_with_the_remedy(jobs: Any) -> None:
    def closure() -> None: ...

    for function in (closure, lambda: None, partial(jobs.add, threading.Lock())):
        with pytest.raises(NotPortable, match=r"cannot go to a worker process: .*\(process=True\)\(partial\(function, argument\)\)$"):
            crosstown_traffic(process=True)(function)


def test_a_function_of_the_program_itself_is_refused(monkeypatch: pytest.MonkeyPatch, jobs: Any) -> None:
    monkeypatch.setattr(jobs.add, "__module__", "__main__")
    with pytest.raises(NotPortable, match="__main__, which is not imported there"):
        Portable(partial(jobs.add, 1, 2), "add")


def test_a_process_is_not_the_same_thread() -> None:
    with pytest.raises(ValueError, match="leave out same_thread or process"):
        crosstown_traffic(process=True, same_thread=True)


def test_outside_a_response_it_runs_here_and_now(jobs: Any) -> None:
    assert crosstown_traffic(jobs.where, process=True).result(0) == os.getpid()


# Crashes.


@pytest.mark.parametrize(("name", "how"), [("crash", "died of SIGKILL"), ("leave", "ended with exit code 3")])
def test_a_process_that_dies_fails_its_task_and_is_replaced(pool: Processes, jobs: Any, name: str, how: str) -> None:
    first = call(pool, jobs.where)
    with pytest.raises(ProcessDied, match=f"^the worker process {first} {how}$"):
        call(pool, getattr(jobs, name))
    second = call(pool, jobs.where)
    assert second != first
    assert pool.died == 1
    assert pool.describe() == "1 of 2 processes"


def test_a_crash_costs_no_other_task_in_flight(pool: Processes, jobs: Any, tmp_path: Path) -> None:
    began, go = tmp_path / "began", tmp_path / "go"
    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(call, pool, jobs.touch_and_wait, str(began), str(go))
        wait_until(began.exists)
        with pytest.raises(ProcessDied):
            call(pool, jobs.crash)
        go.touch()
        assert other.result(DEADLINE) != os.getpid()


def test_a_process_that_was_killed_while_idle_costs_no_task(pool: Processes, jobs: Any) -> None:
    first = call(pool, jobs.where)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not alive(first))
    assert call(pool, jobs.where) != first
    assert pool.died == 0


def test_a_crash_is_noticed_though_a_grandchild_holds_the_connection(
    pool: Processes, jobs: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(processes, "LOOK", 0.05)
    with pytest.raises(ProcessDied, match="SIGKILL"):
        call(pool, jobs.crash_with_heir, str(tmp_path / "pid"))
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_a_process_that_cannot_start_is_an_error_and_not_a_loop(pool: Processes, jobs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PROGRAM", "raise SystemExit(5)")
    with pytest.raises(ProcessDied, match=r"could not start; .*\(exit code 5\)"):
        call(pool, jobs.where)


# The end.


def test_at_the_end_free_processes_leave_and_busy_ones_are_killed(pool: Processes, jobs: Any, tmp_path: Path) -> None:
    began = tmp_path / "began"
    with ThreadPoolExecutor(1) as threads:
        busy = threads.submit(call, pool, jobs.touch_and_wait, str(began), str(tmp_path / "never"))
        wait_until(began.exists)
        free = call(pool, jobs.where)
        pool.dismiss()
        with pytest.raises(ProcessDied, match="SIGKILL"):
            busy.result(DEADLINE)
    wait_until(lambda: pool.gone)
    assert not alive(free)
    with pytest.raises(NoProcesses, match="have ended already"):
        call(pool, jobs.where)


def test_a_process_that_does_not_leave_is_killed(pool: Processes, jobs: Any) -> None:
    pid = call(pool, jobs.where)
    pool.kill()
    assert pool.gone
    assert not alive(pid)


def test_processes_end_with_a_parent_that_is_killed(jobs: Any) -> None:
    program = """
import jobs, os, signal
from hendrix.crosstown.processes import Portable, Processes
portable = Portable(jobs.where, "a task")
portable.pool = Processes(1)
print(portable(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(APPS)}, capture_output=True, text=True)
    pid = int(done.stdout)
    wait_until(lambda: not alive(pid))


# The dispatcher.


class Jobs:
    """A crew that runs nothing by itself."""

    def __init__(self) -> None:
        self.jobs: list[Any] = []

    def submit(self, job: Any) -> None:
        self.jobs.append(job)


class Pool(Jobs):
    size = 2

    def call(self, payload: bytes) -> str:
        return "done there"


class Response:
    title, request_id, code, gone, out_at, failed, last = "GET /", "one", "200", False, 0.0, False, None

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.after: list[Any] = []
        self._dispatcher = dispatcher

    def admit(self, task: Task) -> None:
        self._dispatcher.admit(task)

    def follow_with(self, task: Task) -> None:
        self._dispatcher.queue(self, task)


def queue(dispatcher: Dispatcher, *functions: Callable[[], Any], **options: Any) -> list[Task]:
    response = Response(dispatcher)
    token = current.set(response)
    try:
        handles = [crosstown_traffic(process=True, **options)(function) for function in functions]
    finally:
        current.reset(token)
    dispatcher.follow(response)
    return handles


def test_without_processes_it_is_an_error_that_names_the_option(jobs: Any) -> None:
    dispatcher = Dispatcher(Jobs(), 1)
    with pytest.raises(NoProcesses, match="add: process=True needs worker processes: start hendrix with --crosstown-processes=1 or more"):
        queue(dispatcher, jobs.add)
    assert dispatcher.idle


def test_it_is_an_error_at_decoration_also_for_a_task_that_waits_for_a_commit(jobs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting: list[Task] = []
    monkeypatch.setattr(traffic, "start_on_commit", lambda task, start, alias: waiting.append(task))
    with pytest.raises(NoProcesses):
        queue(Dispatcher(Jobs(), 1), jobs.add, after_commit=True)
    assert not waiting
    queue(Dispatcher(Jobs(), 1, pool=Pool()), jobs.where, after_commit=True)
    assert [task.name for task in waiting] == ["where"]


def test_tasks_for_processes_do_not_take_the_crews_places(jobs: Any) -> None:
    crew, pool = Jobs(), Pool()
    dispatcher = Dispatcher(crew, 1, pool=pool)
    handles = queue(dispatcher, jobs.where, jobs.where, jobs.where)
    assert (len(crew.jobs), len(pool.jobs), dispatcher.waiting) == (0, 2, 1)
    pool.jobs.pop(0).run(None)
    assert (handles[0].result(0), handles[1].state) == ("done there", "waiting")
    assert len(pool.jobs) == 2, "the third has the first one's place"
    for job in list(pool.jobs):
        job.run(None)
    assert [handle.state for handle in handles] == ["done"] * 3
    assert dispatcher.idle
    assert dispatcher.counts.done == 3


def test_those_that_wait_for_a_process_are_abandoned_too(jobs: Any) -> None:
    dispatcher = Dispatcher(Jobs(), 1, pool=Pool())
    handles = queue(dispatcher, *[jobs.where] * 3)
    assert dispatcher.abandon() == handles
    assert not dispatcher.waiting


# The whole.


def test_a_site_with_processes(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Site("jobs:app", "--crosstown-processes=2", cwd=APPS, env={"JOBS_LOG": str(log)}) as site:
        assert site.get("/fail/thunder").text == "waiting"
        site.wait_for_log("the task fail of GET /fail/thunder (id ")
        site.wait_for_log("raise ValueError(text)")  # where it was raised
        assert site.get("/crash").text == "waiting"
        site.wait_for_log("died of SIGKILL")
        assert site.get("/many").status == 200
        site.stop()
        assert log.read_text().split() == [str(n) for n in range(10)], "drained, in order"


def test_a_site_without_processes(tmp_path: Path) -> None:
    with Site("jobs:app", cwd=APPS) as site:
        assert "--crosstown-processes=1" in site.get("/where").text


def test_a_task_that_does_not_end_is_cut_and_its_process_is_not_left_behind(tmp_path: Path) -> None:
    began = tmp_path / "began"
    with Site("jobs:app", "--crosstown-processes=1", "--crosstown-grace=0", cwd=APPS, env={"JOBS_DIR": str(tmp_path)}) as site:
        site.get("/report_and_hang")
        wait_until(began.exists)
        pid = int(began.read_text())
        site.stop()
        assert "the task report_and_hang of GET /report_and_hang was cut" in site.log
        wait_until(lambda: not alive(pid))
