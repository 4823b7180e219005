"""Order, waiting, and where an error goes."""

from __future__ import annotations

import pytest
from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from hendrix.supervision import LONGEST_PAUSE, Intensity, Mortal as MortalProtocol, Supervisor, name_of


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


class Mortal(Child):
    """A child that can die, and that stays dead for so many restarts."""

    on_failure = None
    running = False
    failing = 0

    def startService(self):
        if self.failing:
            self.failing -= 1
            self.notes.append(f"fail {self.name}")
            raise RuntimeError("still dead")
        self.running = True
        return super().startService()

    def die(self, words="a bullet"):
        self.running = False
        self.on_failure(RuntimeError(words))


def mortals(names="abc", strategy="one_for_one", most=3, seconds=10.0, **keywords):
    notes, clock = [], Clock()
    children = [Mortal(name, notes) for name in names]
    root = family(*children, strategy=strategy, clock=clock, intensity=Intensity(most, seconds), **keywords)
    root.startService()
    notes.clear()
    return root, children, notes, clock


def test_one_for_one_restarts_the_child_that_died_at_once_and_no_other():
    _, (_, b, _), notes, _ = mortals()
    b.die()
    assert notes == ["prepare b", "start b"]


def test_rest_for_one_stops_those_after_it_in_reverse_and_starts_all_of_them_in_order():
    _, (_, b, _, _), notes, _ = mortals("abcd", "rest_for_one")
    b.die()
    assert notes == ["stop d", "stop c", "prepare b", "start b", "prepare c", "start c", "prepare d", "start d"]


def test_the_pause_before_a_restart_doubles_and_is_forgotten_with_the_deaths():
    _, (a, *_), notes, clock = mortals("a", most=5)
    a.die()
    assert "start a" in notes
    for pause in (0.1, 0.2, 0.4):
        notes.clear()
        a.die()
        clock.advance(pause * 0.99)
        assert notes == []
        clock.advance(pause * 0.02)
        assert notes == ["prepare a", "start a"]
    clock.advance(11)
    notes.clear()
    a.die()
    assert notes == ["prepare a", "start a"]


def test_the_pause_of_one_that_always_dies_grows_to_the_longest_and_stays_there():
    _, (a, *_), notes, clock = mortals("a", most=100)
    for _ in range(12):
        a.die()
        clock.advance(LONGEST_PAUSE)
    for _ in range(20):
        notes.clear()
        a.die()
        clock.advance(LONGEST_PAUSE * 0.99)
        assert notes == []
        clock.advance(LONGEST_PAUSE * 0.02)
        assert notes == ["prepare a", "start a"]


def test_a_restart_that_fails_counts_as_a_death():
    root, (a, *_), notes, clock = mortals("a")
    a.failing = 1
    a.die()
    assert notes == ["prepare a", "fail a"]
    clock.advance(0.11)
    assert notes[2:] == ["prepare a", "start a"]
    assert root.running


def test_more_deaths_than_its_intensity_stop_all_children_and_go_up():
    heard = []
    root, (a, _b), notes, clock = mortals("ab", most=2)
    root.on_failure = heard.append
    for _ in range(2):
        a.die()
        clock.advance(1)
    notes.clear()
    a.die("a truck")
    assert notes == ["stop b", "stop a"]
    assert not root.running
    assert str(heard[0]) == "a died, as 3 did in 10 s: a truck"
    clock.advance(60)
    assert notes == ["stop b", "stop a"]


def test_deaths_further_apart_than_the_window_go_on_for_ever():
    root, (a,), _, clock = mortals("a", most=1)
    for _ in range(20):
        a.die()
        clock.advance(11)
    assert root.running


def test_at_the_root_the_outcome_hears_of_it():
    outcome = Notes()
    _, (a,), _, _ = mortals("a", most=0, outcome=outcome)
    a.die()
    assert [str(heard) for heard in outcome.heard] == ["started", "a died, as 1 did in 10 s: a bullet"]


def test_a_supervisor_that_gave_up_is_not_tried_again_and_takes_its_parent_along():
    clock, notes, outcome = Clock(), [], Notes()
    inner = family(Mortal("a", notes), clock=clock, intensity=Intensity(0, 10))
    root = family(Mortal("b", notes), inner, clock=clock, outcome=outcome)
    root.startService()
    notes.clear()
    inner.getServiceNamed("a").die()
    assert notes == ["stop a"]
    assert [str(heard) for heard in outcome.heard] == ["started", "a died, as 1 did in 10 s: a bullet"]


def test_without_a_clock_the_first_death_goes_up():
    heard = []
    child = Mortal("a", [])
    root = family(child)
    root.on_failure = heard.append
    root.startService()
    child.die()
    assert [str(error) for error in heard] == ["a died: a bullet"]


def test_a_death_while_it_stops_is_no_news():
    root, (a, _b), notes, clock = mortals("ab")
    root.stopService()
    notes.clear()
    a.die()
    clock.advance(60)
    assert notes == []


def test_stopping_ends_the_wait_for_a_restart():
    root, (a,), notes, clock = mortals("a")
    a.die()
    a.die()
    root.stopService()
    notes.clear()
    clock.advance(60)
    assert (notes, clock.getDelayedCalls()) == ([], [])


def test_when_an_elder_dies_during_the_restart_of_a_younger_one_all_are_restarted_once():
    _, (a, b, _c), notes, clock = mortals("abc", "rest_for_one", most=9)
    b.die()
    b.die()  # waits now
    notes.clear()
    a.die()
    assert notes == ["stop c", "stop b", "prepare a", "start a", "prepare b", "start b", "prepare c", "start c"]
    notes.clear()
    clock.advance(60)
    assert notes == []


def test_any_service_may_live_under_it_and_it_under_any_multiservice():
    root = MultiService()
    supervisor = Supervisor("inner")
    supervisor.setServiceParent(root)
    Service().setServiceParent(supervisor)
    root.startService()
    assert supervisor.running
    assert not isinstance(Service(), MortalProtocol)
