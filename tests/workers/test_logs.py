"""The log of a worker on its way into that of its parent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.logger import Logger, LogLevel, globalLogPublisher

from hendrix.workers import logs
from hendrix.workers.logs import FromWorker, ToParent


@pytest.fixture
def events() -> Iterator[list[tuple[str, str, str]]]:
    """Level, namespace and text of what is logged here."""
    found: list[tuple[str, str, str]] = []

    def observe(event: dict[str, Any]) -> None:
        found.append((event["log_level"].name, event["log_namespace"], event["log_format"].format(**event)))

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The end from which the parent reads."""
    read, write = os.pipe()
    monkeypatch.setattr(logs, "STDERR", write)
    yield read
    os.close(read)
    os.close(write)


def test_an_event_arrives_with_its_level_its_name_and_all_its_lines(events: list[Any], pipe: int) -> None:
    worker = Logger(namespace="site", observer=ToParent())
    worker.warn("one {what}\ntwo", what="thing")
    try:
        raise ValueError("no use")
    except ValueError:
        worker.failure("it failed")
    FromWorker("worker 1 pid 7").feed(os.read(pipe, 65536))
    assert events[0] == ("warn", "worker 1 pid 7, site", "one thing\ntwo")
    level, _, text = events[1]
    assert (level, text.splitlines()[0], text.splitlines()[-1]) == ("critical", "it failed", "builtins.ValueError: no use")


def test_what_is_no_event_is_logged_as_it_is_and_in_one_piece(events: list[Any]) -> None:
    log = FromWorker("worker 1")
    log.feed(b'Fatal Python error: Aborted\n\nThread 0x1:\n  File "a.py"\n{"level": "info", "namespace": "n", "text": "t"}\n{"level": 1}\n')
    assert events == [
        ("warn", "worker 1, stderr", 'Fatal Python error: Aborted\n\nThread 0x1:\n  File "a.py"'),
        ("info", "worker 1, n", "t"),
        ("warn", "worker 1, stderr", '{"level": 1}'),
    ]


def test_a_line_may_come_in_pieces_and_the_last_one_without_its_end(events: list[Any]) -> None:
    log = FromWorker("worker 1")
    log.feed(b'{"level": "error", "name')
    log.feed(b'space": "n", "text": "{not a field}"}\nhalf')
    assert events == [("error", "worker 1, n", "{not a field}")]
    log.feed(b" a line")
    log.end()
    assert events[1:] == [("warn", "worker 1, stderr", "half a line")]


def test_a_parent_that_has_gone_is_no_trouble(pipe: int) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), logs.STDERR)  # not writable
    ToParent()({"log_format": "x", "log_level": LogLevel.info, "log_namespace": "n"})
