"""The node "crosstown": what it says of itself, and its drain. Real servers drain in tests/system/test_crosstown.py."""

from __future__ import annotations

import copyreg
import pickle
import re
from types import MethodType

import pytest
from crew import Crew, Response
from twisted.internet.task import Clock
from twisted.persisted.styles import pickleMethod

from hendrix.crosstown import traffic
from hendrix.crosstown.gate import parse
from hendrix.crosstown.service import CrosstownService
from hendrix.crosstown.task import Task


@pytest.fixture
def crew():
    return Crew()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def service(crew, clock):
    service = CrosstownService(clock, lambda: crew, 2, grace=10)
    assert service.describe() == "at most 2 tasks at a time" and service.numbers() == {}
    service.startService()
    assert traffic.serving is service.dispatcher
    yield service
    service.stopService()
    clock.pump([0.02] * 1000)
    assert traffic.serving is None


def queue(service, *functions, gate=(), out=True):
    response = Response(service.dispatcher, out=out)
    tasks = [Task(function, str(function), parse(gate)) for function in functions]
    for task in tasks:
        service.dispatcher.queue(response, task)
    if out:
        service.dispatcher.is_out(response)
    return tasks


def test_a_service_without_tasks(service):
    assert service.describe() == "0 running, 0 done, 0 failed, 0 no-go"


def test_its_counts_show(service, crew):
    queue(service, list, list, lambda: 1 / 0)
    crew.step_all()
    queue(service, list, gate="2xx")
    queue(service, list)[0].cancel()
    crew.step_all()
    queue(service, list, out=False)
    delay = r"start after \d+\.\d ms \(p99 \d+\.\d\)"
    assert re.fullmatch(rf"0 running, 1 queued, 2 done, 1 failed, 1 no-go, 1 cancelled, {delay}", service.describe())
    expected = {"queued": 1, "running": 0, "done": 2, "failed": 1, "gated": 1, "cancelled": 1, "overflowed": 0, "started": 3}
    numbers = service.numbers()
    assert {name: numbers.pop(name) for name in expected} == expected
    assert sorted(numbers) == ["start_delay_max", "start_delay_p50", "start_delay_p99", "start_delay_sum"]
    assert all(isinstance(value, float) for value in numbers.values())


class Portable:
    @classmethod
    def method(cls):
        return cls


@pytest.fixture
def twisted_pickles():
    copyreg.pickle(MethodType, pickleMethod)  # as the import does


@pytest.mark.usefixtures("twisted_pickles", "service")
def test_class_methods_can_be_pickled_though_twisted_says_how():
    assert pickle.loads(pickle.dumps(Portable.method))() is Portable


def test_what_runs_shows(service, crew):
    seen = []
    queue(service, lambda: seen.append(service.numbers()), list)
    crew.step_all()
    assert (seen[0]["running"], seen[0]["queued"]) == (1, 1)


def test_it_ends_when_its_tasks_have(service, crew, clock):
    queue(service, list, list)
    fired = []
    service.stopService().addCallback(fired.append)
    clock.pump([0.02] * 20)
    assert not fired
    crew.step_all()
    clock.pump([0.02] * 3)
    assert fired == [None] and service.numbers()["done"] == 2


def test_it_waits_no_longer_than_the_grace(service, crew, clock):
    tasks = queue(service, list)
    fired = []
    service.stopService().addCallback(fired.append)
    clock.pump([0.02] * 520)
    assert fired == [None] and tasks[0].state == "cancelled" and service.numbers()["cancelled"] == 1
