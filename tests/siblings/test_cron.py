from __future__ import annotations

import os
from datetime import datetime, timezone

import pytest
from sibling_house import House
from twisted.internet.defer import Deferred

from hendrix.errors import ConfigurationError
from hendrix.siblings import cron
from hendrix.siblings.cron import Cron, Due, make_service

UTC = timezone.utc


@pytest.fixture
def house():
    return House()


def running(house, schedule="* * * * *", run=None, jitter=0.0):
    runs = []
    service = Cron(
        house.context(), Due(schedule, UTC), "it", run or (lambda at: runs.append(f"{at:%H:%M:%S}")), jitter, house.clock.seconds
    )
    service.startService()
    service.runs = runs
    return service


def test_it_runs_when_it_is_due_and_not_before(house):
    service = running(house)
    house.clock.pump([1] * 59)
    assert service.runs == []
    house.clock.pump([1] * 61)
    assert service.runs == ["00:01:00", "00:02:00"]
    service.stopService()
    house.clock.pump([60] * 5)
    assert len(service.runs) == 2


def test_seconds(house):
    service = running(house, "*/20 * * * * *")
    house.clock.pump([1] * 60)
    assert service.runs == ["00:00:20", "00:00:40", "00:01:00"]


def test_after_a_long_sleep_it_runs_once(house):
    service = running(house)
    house.clock.advance(3600)
    assert service.runs == ["00:01:00"]
    house.clock.advance(60)
    assert service.runs == ["00:01:00", "01:01:00"]


def test_nothing_overlaps(house):
    begun = []
    service = running(house, run=lambda at: begun.append(Deferred()) or begun[-1])
    house.clock.pump([60] * 3)
    assert len(begun) == 1 and service.numbers() == {"done": 0, "failed": 0, "skipped": 2}
    begun[0].callback(None)
    house.clock.advance(60)
    assert len(begun) == 2
    stopped = []
    service.stopService().addCallback(stopped.append)
    assert not stopped  # the stop waits for what runs
    begun[1].callback(None)
    assert stopped and service.numbers()["done"] == 2


def test_what_raises_runs_again(house):
    service = running(house, run=lambda at: 1 / 0)
    house.clock.pump([60] * 2)
    assert service.numbers() == {"done": 0, "failed": 2, "skipped": 0}


def test_jitter_delays(house, monkeypatch):
    monkeypatch.setattr(cron.random, "uniform", lambda low, high: high / 2)
    service = running(house, jitter=10.0)
    house.clock.pump([1] * 64)
    assert service.runs == []
    house.clock.advance(1)
    assert service.runs == ["00:01:00"]


def test_a_time_zone_is_kept_over_the_change_of_the_clocks():
    due = Due("30 4 * * *", cron.ZoneInfo("Europe/Berlin"))
    before = datetime(2026, 3, 28, 12, tzinfo=UTC).timestamp()
    first = due.after(before)
    assert first.astimezone(UTC) == datetime(2026, 3, 29, 2, 30, tzinfo=UTC)  # 04:30 in summer time


def test_it_publishes(house):
    context = house.context("cron")
    service = make_service(context, "* * * * *", topic="tick", timezone="UTC")
    service._clock = house.clock.seconds
    service.startService()
    house.clock.pump([60])
    assert house.payloads == [("tick", {"time": "1970-01-01T00:01:00+00:00"})]
    assert service.describe() == "tick at * * * * *, next 1970-01-01 00:02:00"


def test_it_calls_a_function(house):
    context = house.context("cron")
    called = []
    context.call = lambda function, name: called.append((function(), name))
    service = make_service(context, "* * * * *", call="os.getpid", timezone="UTC")
    service._clock = house.clock.seconds
    service.startService()
    house.clock.pump([60])
    assert called == [(os.getpid(), "os.getpid")]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"schedule": "* * *", "topic": "a"}, r"schedule=\* \* \*: .*give five fields"),
        ({"schedule": "0 0 31 2 *", "topic": "a"}, "schedule=0 0 31 2"),
        ({"schedule": "* * * * *"}, "give either topic or call"),
        ({"schedule": "* * * * *", "topic": "a", "timezone": "Mars/Base"}, "timezone=Mars/Base: there is no such time zone"),
        ({"schedule": "* * * * *", "call": "os.nothing"}, "call=os.nothing: .*no attribute"),
        ({"schedule": "* * * * *", "topic": "a", "jitter": -1}, "jitter=-1"),
    ],
)
def test_what_cannot_work_is_one_line(house, keys, words):
    with pytest.raises(ConfigurationError, match=words):
        make_service(house.context(), **keys)
