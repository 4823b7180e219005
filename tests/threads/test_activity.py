"""`hendrix.threads.activity`: what a worker is doing, and in which line."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from hendrix.threads.activity import Activity, activities
from hendrix.threads.bell import Bell
from hendrix.threads.crew import Crew
from hendrix.threads.worker import Worker


class Stuck:
    """A job that waits, in a line that it can name."""

    title = "GET /slow"

    def __init__(self) -> None:
        self.running, self.go = threading.Event(), threading.Event()

    def run(self, worker: Worker) -> None:
        self.running.set()
        self.go.wait(60)  # here


@pytest.fixture
def crew() -> Iterator[Crew]:
    crew = Crew(2, Bell(), lambda call, *args: call(*args))
    crew.start()
    yield crew
    crew.quit()


def wait_for(crew: Crew, title: str, seconds: float = 0) -> Activity:
    deadline = time.monotonic() + 60
    while True:
        for one in activities(crew.workers):
            if one.doing == title and one.seconds >= seconds:
                return one
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_job_has_its_title_its_time_and_the_line_of_who_wrote_it(crew: Crew) -> None:
    job = Stuck()
    crew.submit(job)
    try:
        assert job.running.wait(60)
        busy = wait_for(crew, "GET /slow", seconds=0.05)
        assert busy.line.endswith(" run: self.go.wait(60)  # here"), "not the line in the standard library"
        assert busy.line in busy.stack and "threading.py" in busy.stack[-1]
        assert not any("crew.py" in line for line in busy.stack), "nor what is hendrix's"
        assert [one.doing for one in activities(crew.workers)].count("") == 1
    finally:
        job.go.set()


def test_the_time_is_that_of_this_job_and_not_of_the_one_before(crew: Crew) -> None:
    first, second = Stuck(), Stuck()
    second.title = "GET /second"
    crew.submit(first)
    wait_for(crew, "GET /slow", seconds=0.1)
    began = time.monotonic()
    first.go.set()
    crew.submit(second)
    try:
        busy = wait_for(crew, "GET /second")
        assert busy.seconds <= time.monotonic() - began
    finally:
        second.go.set()


def test_a_worker_without_a_job_or_a_thread_does_nothing() -> None:
    worker = Worker("crew-1", time.monotonic)
    assert activities([worker]) == [Activity("crew-1", "", 0.0, "", [])]
    worker.job = Stuck()
    assert activities([worker]) == [Activity("crew-1", "", 0.0, "", [])]
