"""Order, waiting, and where an error goes."""

from __future__ import annotations

import pytest
from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred
from twisted.logger import globalLogPublisher

from hendrix.supervision import Supervisor, name_of


class Child(Service):
    """Notes what it is asked; answers with what it was given, an exception or a Deferred."""

    def __init__(self, name, notes, prepare=None, start=None, stop=None):
        self.name, self.notes = name, notes
        self.answers = {"prepare": prepare, "start": start, "stop": stop}

    def _answer(self, what):
        self.notes.append(f"{what} {self.name}")
        answer = self.answers[what]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def privilegedStartService(self):
        return self._answer("prepare")

    def startService(self):
        return self._answer("start")

    def stopService(self):
        return self._answer("stop")


class Notes:
    """An outcome that only takes notes."""

    def __init__(self):
        self.heard = []

    def started(self):
        self.heard.append("started")

    def failed(self, error):
        self.heard.append(error)
        return RuntimeError(f"over: {error}")


def family(*children, **keywords):
    root = Supervisor("root", **keywords)
    for child in children:
        child.setServiceParent(root)
    return root


def test_children_are_prepared_then_started_in_order_and_stopped_in_reverse():
    notes = []
    root = family(*(Child(name, notes) for name in "abc"))
    root.privilegedStartService()
    assert root.startService() is None
    assert root.running
    stopped = root.stopService()
    assert stopped.called
    assert not root.running
    assert notes == [
        *("prepare a", "prepare b", "prepare c"), *("start a", "start b", "start c"), *("stop c", "stop b", "stop a"),
    ]  # fmt: skip


def test_a_launcher_that_does_not_prepare_is_made_up_for_each_time():
    notes = []
    root = family(Child("a", notes))
    root.startService()
    root.stopService()
    root.startService()
    assert notes == ["prepare a", "start a", "stop a", "prepare a", "start a"]


def test_a_child_that_takes_its_time_is_waited_for_in_both_directions():
    notes, up, down = [], Deferred(), Deferred()
    root = family(Child("a", notes), Child("b", notes, start=up, stop=down), Child("c", notes))
    starting = root.startService()
    assert notes[3:] == ["start a", "start b"]
    up.callback(None)
    assert starting.called
    assert notes[5:] == ["start c"]
    stopping = root.stopService()
    assert notes[6:] == ["stop c", "stop b"]
    down.callback(None)
    assert stopping.called
    assert notes[8:] == ["stop a"]


def test_a_coroutine_is_waited_for_too():
    done = Deferred()

    class Slow(Service):
        async def startService(self):
            await done

    starting = family(Slow()).startService()
    assert not starting.called
    done.callback(None)
    assert starting.called


@pytest.mark.parametrize("error", [OSError("busy"), SystemExit("no")])
def test_a_child_that_cannot_be_prepared_stops_the_others_and_raises(error):
    notes = []
    root = family(Child("a", notes), Child("b", notes, prepare=error), Child("c", notes))
    with pytest.raises(type(error)) as raised:
        root.privilegedStartService()
    assert raised.value is error
    assert notes == ["prepare a", "prepare b", "stop c", "stop b", "stop a"]
    assert not root.running


@pytest.mark.parametrize("error", [OSError("busy"), SystemExit("no")])
def test_a_child_that_cannot_start_stops_the_others_and_raises(error):
    notes = []
    root = family(Child("a", notes), Child("b", notes, start=error, stop=RuntimeError("never started")), Child("c", notes))
    with pytest.raises(type(error)) as raised:
        root.startService()
    assert raised.value is error
    assert notes[3:] == ["start a", "start b", "stop c", "stop b", "stop a"]
    assert not root.running


def test_the_traceback_of_the_child_is_kept():
    def culprit():
        raise OSError("busy")

    child = Service()
    child.startService = culprit
    with pytest.raises(OSError, match="busy") as raised:
        family(child).startService()
    assert raised.traceback[-1].name == "culprit"


def test_the_outcome_hears_of_success_once_the_call_returns():
    outcome, up = Notes(), Deferred()
    root = family(Child("a", [], start=up), outcome=outcome)
    root.startService()
    assert outcome.heard == ["started"]
    up.callback(None)
    assert outcome.heard == ["started"]


def test_the_outcome_gives_the_exception_to_raise():
    outcome, error = Notes(), OSError("busy")
    with pytest.raises(RuntimeError, match="over: busy"):
        family(Child("a", [], start=error), outcome=outcome).startService()
    with pytest.raises(RuntimeError, match="over: busy"):
        family(Child("a", [], prepare=error), outcome=outcome).privilegedStartService()
    assert outcome.heard == [error, error]


def test_a_late_failure_goes_up_through_supervisors_to_the_outcome_when_all_have_stopped():
    notes, up, down, outcome, error = [], Deferred(), Deferred(), Notes(), OSError("no tor")
    inner = Supervisor("inner")
    Child("b", notes, start=up).setServiceParent(inner)
    root = family(Child("a", notes, stop=down), inner, Child("c", notes), outcome=outcome)
    starting = root.startService()
    up.errback(error)
    assert notes[3:] == ["start a", "start b", "stop b", "stop c", "stop b", "stop a"]
    assert outcome.heard == ["started"]
    down.callback(None)
    assert outcome.heard == ["started", error]
    assert starting.called


def test_a_late_failure_that_nobody_waits_for_is_in_the_deferred():
    up, error, got = Deferred(), OSError("no tor"), []
    starting = family(Child("a", [], start=up)).startService()
    starting.addErrback(lambda failure: got.append(failure.value))
    up.errback(error)
    assert got == [error]


def test_stopping_during_a_start_calls_it_off():
    notes, outcome = [], Notes()
    root = family(Child("a", notes, start=Deferred()), Child("b", notes), outcome=outcome)
    starting = root.startService()
    assert root.stopService().called
    assert starting.called
    assert notes[2:] == ["start a", "stop b", "stop a"]
    assert outcome.heard == ["started"]


def test_a_child_that_fails_to_stop_is_logged_and_its_elders_are_stopped():
    notes, logged = [], []
    root = family(Child("a", notes), Child("b", notes, stop=OSError("stuck")))
    root.startService()
    globalLogPublisher.addObserver(logged.append)
    try:
        assert root.stopService().called
    finally:
        globalLogPublisher.removeObserver(logged.append)
    assert notes[-2:] == ["stop b", "stop a"]
    assert [event["name"] for event in logged if "log_failure" in event] == ["b"]


def test_it_lives_under_any_multiservice_and_takes_children_while_it_runs():
    notes = []
    top, root = MultiService(), family(Child("a", notes))
    root.setServiceParent(top)
    top.privilegedStartService()
    top.startService()
    late = Child("late", notes)
    late.setServiceParent(root)
    late.disownServiceParent()
    top.stopService()
    assert notes == ["prepare a", "start a", "prepare late", "start late", "stop late", "stop a"]
    assert root.getServiceNamed("a")


def test_a_nameless_service_goes_by_its_class():
    assert name_of(Service()) == "Service"
    assert name_of(Child("a", [])) == "a"
