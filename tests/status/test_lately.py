"""`hendrix.status.lately`: lines and failures, taken from the log."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.logger import Logger

from hendrix.status.lately import FAILURES, LINES, LONGEST, TRACEBACK, Failures, Lines


@pytest.fixture
def lines():
    observer = Lines()
    observer.begin()
    yield observer
    observer.end()


@pytest.fixture
def failures():
    observer = Failures()
    observer.begin()
    yield observer
    observer.end()


def fail(namespace: str, words: str, **fields: Any) -> None:
    try:
        raise ValueError("on purpose " * 1000)
    except ValueError:
        Logger(namespace=namespace).failure(words, **fields)


def test_a_line_says_when_how_bad_and_from_where(lines):
    Logger(namespace="shop").warn("{count} left", count=3)
    (line,) = lines.after(0)
    assert (line["level"], line["source"], line["text"], line["number"]) == ("warn", "shop", "3 left", 1)
    assert lines.after(1) == []


def test_old_lines_make_room_and_long_ones_are_cut(lines):
    log = Logger(namespace="shop")
    for number in range(LINES + 10):
        log.info("{number} {long}", number=number, long="x" * 3 * LONGEST)
    kept = lines.after(0)
    assert len(kept) == LINES and kept[0]["number"] == 11 and all(len(line["text"]) <= LONGEST for line in kept)


def test_a_failed_task_has_its_name_its_request_and_its_traceback(failures):
    fail("hendrix.crosstown", "the task {name} of {origin} failed", name="send", origin="POST /order?card=1234 (id 77)")
    fail("hendrix.wsgi", "{request} raised {error}", request="GET /a?b", error="ValueError")
    task, request = failures.take()
    assert (task["kind"], task["name"], task["origin"]) == ("task", "send", "POST /order")
    assert task["error"].startswith("ValueError: on purpose") and len(task["error"]) <= 300
    assert "in fail" in task["traceback"] and len(task["traceback"]) <= TRACEBACK
    assert (request["kind"], request["name"]) == ("request", "GET /a")
    assert failures.take() == []


def test_other_lines_are_no_failures(failures):
    Logger(namespace="hendrix.crosstown").error("nothing raised")
    fail("shop", "{name}", name="somebody else's")
    fail("hendrix.crosstown", "without a name")
    assert failures.take() == []


def test_failures_are_bounded(failures):
    for number in range(3 * FAILURES):
        fail("hendrix.crosstown", "{name}", name=str(number), origin="")
    assert [one["name"] for one in failures.take()] == [str(number) for number in range(2 * FAILURES, 3 * FAILURES)]
