"""The few steps of the crew that must never cross: its real code under every interleaving that matters, and with each rule broken.

These are no models of the code but the code itself, in real threads that a scheduler moves one at a time (interleavings.py); what the
threads share is replaced by doubles. Every rule has a test that breaks it and must see the explorer find the schedule that goes wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from crew_doubles import BusyMonitor, Inlet, Job, ModelCrew, ModelWorker
from interleavings import Broken, Deque, Killed, Lock, Shared, World, explore, pause, step, wait
from twisted.internet.defer import Deferred

import hendrix.threads.monitor
from hendrix.threads.mailbox import Mailbox
from hendrix.threads.monitor import QUIET, Monitor
from hendrix.threads.worker import Worker

CrewClass = type[ModelCrew]


@pytest.fixture(autouse=True)
def _no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The monitor's sleep ends whenever the schedule likes."""
    monkeypatch.setattr(hendrix.threads.monitor, "time", SimpleNamespace(sleep=lambda seconds: pause()))


def breaks(scenario: Callable[[World], None], match: str, deviations: int = 2) -> None:
    with pytest.raises(Broken, match=match):
        explore(scenario, deviations=deviations)


# A job is submitted, a worker falls asleep.


def submitting(crew_class: CrewClass, workers: int, submitters: int) -> Callable[[World], None]:
    def scenario(world: World) -> None:
        crew = crew_class(workers, Inlet(), running=workers)
        jobs = [Job() for _ in range(submitters)]
        crew.people(world)
        for number, job in enumerate(jobs):
            world.spawn(f"submitter {number}", lambda job=job: crew.submit(job))  # type: ignore[misc]
        world.run()
        assert [job.runs for job in jobs] == [1] * submitters

    return scenario


@pytest.mark.parametrize(("workers", "submitters"), [(1, 1), (1, 2), (2, 1)])
def test_no_wake_up_is_lost(workers: int, submitters: int) -> None:
    assert explore(submitting(ModelCrew, workers, submitters)) > 20


class LooksThenAppends(ModelCrew):
    def submit(self, job: object) -> None:
        if self._asleep:
            self._source.wake()
        self.ready.append(job)  # type: ignore[arg-type]


class LooksThenSleeps(ModelCrew):
    def _sleep(self, worker: Worker) -> None:
        nothing = not self.ready and not self.quitting
        self._asleep.add(worker)
        try:
            self._source.poll(-1 if nothing else 0, 1)
        finally:
            self._asleep.discard(worker)


@pytest.mark.parametrize("broken", [LooksThenAppends, LooksThenSleeps])
def test_who_submits_appends_first_and_who_sleeps_says_so_first(broken: CrewClass) -> None:
    breaks(submitting(broken, 1, 1), r"\[0\] == \[1\]")


# A worker leaves.


class Last:
    """What a worker sends last. Sending it brings a job, as when a connection has the next request already."""

    def __init__(self, crew: ModelCrew, job: Job) -> None:
        self._crew, self._job = crew, job

    def send(self) -> None:
        """Nothing."""

    def sent(self) -> None:
        self._crew.enqueue(self._job)


def leaving(crew_class: CrewClass) -> Callable[[World], None]:
    """One worker is let in and falls asleep, the other sends its last and may leave. Who has the job that comes of it?"""

    def scenario(world: World) -> None:
        crew = crew_class(2, Inlet())
        job = Job()
        first = Job(last=Last(crew, job))
        crew.enqueue(first)

        def monitor() -> None:
            wait(lambda: first.runs > 0)
            crew.let_in()
            wait(lambda: set.__len__(crew._asleep) > 0)
            crew.let_go(1)

        world.spawn("monitor", monitor)
        crew.people(world)
        world.run()
        assert job.runs == 1, "a job waits for ever"

    return scenario


def test_no_worker_leaves_a_job_behind() -> None:
    assert explore(leaving(ModelCrew)) > 20


class LeavesWithoutALook(ModelCrew):
    def _leave(self) -> bool:
        with self._counting:
            if not self._surplus or self.running <= self.least:
                return False
            self._surplus -= 1
            self.running -= 1
            return True


def test_who_leaves_looks_at_the_queue() -> None:
    breaks(leaving(LeavesWithoutALook), "a job waits for ever")


class CountedCrew(ModelCrew):
    running = Shared()


def counting(crew_class: CrewClass) -> Callable[[World], None]:
    """One of two workers may leave, and another is let in."""

    def scenario(world: World) -> None:
        crew = crew_class(3, Inlet(), running=2)

        def monitor() -> None:
            crew.let_go(1)
            crew.let_in()

        crew.people(world)
        world.spawn("monitor", monitor)
        world.run()
        assert crew._gate.value == 0  # type: ignore[attr-defined]
        assert crew.running == len(crew._asleep)
        assert crew.least <= crew.running <= crew.size

    return scenario


def test_as_many_run_as_were_let_in() -> None:
    assert explore(counting(CountedCrew)) > 20


class CountsWithoutALock(CountedCrew):
    def let_in(self) -> None:
        if self.running >= self.size:
            return
        self.running += 1
        self._surplus = 0
        self._gate.release()


def test_workers_are_counted_under_a_lock() -> None:
    breaks(counting(CountsWithoutALock), "running")


# The monitor.


def monitored(monitor_class: type[Monitor], come: Callable[[ModelCrew, Job], None]) -> Callable[[World], None]:
    """The only worker comes unstuck while the monitor polls in its place, and a job comes."""

    def scenario(world: World) -> None:
        crew = ModelCrew(1, Inlet())
        job = Job()
        crew.enqueue(Job(steps=2))
        world.spawn("monitor", monitor_class(crew, crew._source, lambda: 0.0).watch)
        crew.people(world)
        world.spawn("outside", lambda: come(crew, job))
        world.run()
        assert job.runs == 1, "a job waits for ever"

    return scenario


def from_outside(crew: ModelCrew, job: Job) -> None:
    crew._source.come(job)  # type: ignore[attr-defined]


ORIGINS = [from_outside, ModelCrew.submit]


@pytest.mark.parametrize("come", ORIGINS)
def test_what_the_monitor_polls_finds_a_worker(come: Callable[[ModelCrew, Job], None]) -> None:
    assert explore(monitored(BusyMonitor, come)) > 20


class KeepsItToItself(BusyMonitor):
    def watch(self) -> None:
        while not self._crew.quitting:
            self._crew.began.wait()
            if self._stuck >= self._crew.size:
                self._source.poll(0.002, 1)
            else:
                pause()
            self.look(0.0)


@pytest.mark.parametrize("come", ORIGINS)
def test_the_monitor_looks_for_sleepers_after_it_has_polled(come: Callable[[ModelCrew, Job], None]) -> None:
    breaks(monitored(KeepsItToItself, come), "a job waits for ever")


def sent_by_the_monitor(monitor_class: type[Monitor]) -> Callable[[World], None]:
    """Both workers are in a job, one for ever. What the monitor sends for that one brings a job, and the other falls asleep meanwhile."""

    def scenario(world: World) -> None:
        crew = ModelCrew(2, Inlet(), running=2)
        job = Job()
        crew.workers[1].job = Job()
        crew.workers[1].hold(Last(crew, job))
        crew.enqueue(Job())
        world.spawn("monitor", monitor_class(crew, crew._source, lambda: 0.0).watch)
        world.spawn("worker", lambda: crew._work(crew.workers[0]))
        world.run()
        assert job.runs == 1, "a job waits for ever"

    return scenario


def test_what_the_monitor_sends_finds_a_worker() -> None:
    assert explore(sent_by_the_monitor(BusyMonitor)) > 20


class NudgesNobody(BusyMonitor):
    def look(self, elapsed: float) -> None:
        nudge, self._crew.nudge = self._crew.nudge, lambda: None  # type: ignore[method-assign]
        try:
            super().look(elapsed)
        finally:
            self._crew.nudge = nudge  # type: ignore[method-assign]


def test_the_monitor_looks_for_sleepers_after_it_has_sent() -> None:
    breaks(sent_by_the_monitor(NudgesNobody), "a job waits for ever")


def resting(monitor_class: type[Monitor]) -> Callable[[World], None]:
    """The monitor goes to rest while a job begins. The job ends when it has been seen."""

    def scenario(world: World) -> None:
        inlet = Inlet()
        crew = ModelCrew(1, inlet)
        seen: list[bool] = []

        class Tired(monitor_class):  # type: ignore[misc, valid-type]
            def look(self, elapsed: float) -> None:
                if crew.workers[0].job is None:
                    self._quiet = QUIET
                else:
                    seen.append(True)
                super().look(elapsed)
                if seen:
                    raise Killed

        job = Job(then=lambda: wait(lambda: bool(seen)))
        crew.began.set()
        crew.people(world)
        world.spawn("monitor", Tired(crew, inlet, lambda: 0.0).watch)
        world.spawn("submitter", lambda: crew.submit(job))
        world.run()
        assert not crew.workers[0].job, "nobody watches the job"

    return scenario


def test_no_job_begins_unseen() -> None:
    assert explore(resting(Monitor)) > 20


class LooksThenClears(Monitor):
    def _rest(self) -> None:
        self._quiet = 0
        if not self._crew.at_work:
            self._crew.began.clear()


def test_the_monitor_clears_first_and_looks_second() -> None:
    breaks(resting(LooksThenClears), "nobody watches the job")


# The end.


def quitting(crew_class: CrewClass, running: int, surplus: int) -> Callable[[World], None]:
    """One worker sleeps, one sleeps, leaves or is parked, the monitor goes to rest. All end, and the reactor hears of it once."""

    def scenario(world: World) -> None:
        inlet = Inlet()
        crew = crew_class(2, inlet, running=running)
        crew.let_go(surplus)

        class Tired(Monitor):
            def look(self, elapsed: float) -> None:
                self._quiet = QUIET
                super().look(elapsed)

        crew.people(world, Tired(crew, inlet, lambda: 0.0).watch)
        crew.ends(world)

    return scenario


WAYS = [(1, 0), (2, 0), (2, 1)]


@pytest.mark.parametrize(("running", "surplus"), WAYS)
def test_no_thread_misses_the_end(running: int, surplus: int) -> None:
    assert explore(quitting(ModelCrew, running, surplus), deviations=2 - surplus) > 20


class LetsNobodyOut(ModelCrew):
    def quit(self) -> Deferred[None]:
        gate, self._gate = self._gate, SimpleNamespace(release=lambda: None)  # type: ignore[assignment]
        gone = super().quit()
        self._gate = gate
        return gone


def test_who_is_parked_is_let_in_to_end() -> None:
    breaks(quitting(LetsNobodyOut, 1, 0), "left behind")


class WakesNobodyElse(ModelCrew):
    def _live(self, body: Callable[..., None], *args: Worker) -> None:
        wake, self._source.wake = self._source.wake, lambda: None  # type: ignore[method-assign]
        try:
            super()._live(body, *args)
        finally:
            self._source.wake = wake  # type: ignore[method-assign]


def test_who_ends_passes_it_on() -> None:
    breaks(quitting(WakesNobodyElse, 2, 0), "left behind")


def ending(crew_class: CrewClass) -> Callable[[World], None]:
    """The last thread ends just as the crew is told to quit."""

    def scenario(world: World) -> None:
        crew = crew_class(1, Inlet())
        crew.workers = []
        crew.people(world, step)
        crew.ends(world)

    return scenario


def test_the_end_is_announced_once() -> None:
    assert explore(ending(ModelCrew), deviations=4) > 10


class LooksLate(ModelCrew):
    def quit(self) -> Deferred[None]:
        gone = super().quit()
        step()
        if not self._alive and not gone.called:
            gone.callback(None)
        return gone


def test_whether_all_have_ended_is_seen_under_the_lock() -> None:
    breaks(ending(LooksLate), "AlreadyCalledError")


# A worker sends what it holds, and the monitor does so for it.


class Parcel:
    """Takes a step to send; notes what became of it."""

    def __init__(self, name: str, sent: list[str], ready: list[str]) -> None:
        self._name, self._sent, self.ready = name, sent, ready

    def send(self) -> None:
        step()
        self._sent.append(self._name)

    def sent(self) -> None:
        assert self._name in self._sent
        self.ready.append(self._name)


def sending(worker_class: type[ModelWorker]) -> Callable[[World], None]:
    def scenario(world: World) -> None:
        worker = worker_class("worker", lambda: 0.0)
        worker.held, worker.sending = Deque(), Lock()  # type: ignore[assignment]
        sent: list[str] = []
        ready: list[str] = []

        def work() -> None:
            worker.hold(Parcel("1", sent, ready))
            worker.hold(Parcel("2", sent, ready))
            worker.dispatch()
            step()
            sent.append("streamed")  # as a connection does that streams: past `held`, after all that was held
            worker.hold(Parcel("3", sent, ready))
            worker.dispatch()
            assert sent == ["1", "2", "streamed", "3"]

        def monitor() -> None:
            worker.dispatch_for_it()
            worker.dispatch_for_it()

        world.spawn("worker", work)
        world.spawn("monitor", monitor)
        world.run()
        assert not world.blocked
        assert sent == ["1", "2", "streamed", "3"]
        assert ready == ["1", "2", "3"]

    return scenario


def test_parcels_go_out_once_and_in_order() -> None:
    assert explore(sending(ModelWorker), deviations=3) > 20


class SendsAtTheSameTime(ModelWorker):
    def dispatch_for_it(self) -> None:
        if self.held:
            self._dispatch()


class SendsWhileTheMonitorDoes(ModelWorker):
    def dispatch(self) -> None:
        if self.held:
            with self.sending:
                self._dispatch()


class TakesThenLocks(ModelWorker):
    def _dispatch(self) -> None:
        raise NotImplementedError

    def dispatch_for_it(self) -> None:
        if self.held:
            parcel = self.held.popleft()
            with self.sending:
                parcel.send()
                parcel.sent()

    def dispatch(self) -> None:
        if self.held or self.sending.locked():
            with self.sending:
                Worker._dispatch(self)


@pytest.mark.parametrize("broken", [SendsAtTheSameTime, SendsWhileTheMonitorDoes, TakesThenLocks])
def test_who_sends_holds_the_lock_from_the_first_parcel_to_the_last(broken: type[ModelWorker]) -> None:
    breaks(sending(broken), "Error")


# The mailbox.


def posting(mailbox_class: type[Mailbox]) -> Callable[[World], None]:
    def scenario(world: World) -> None:
        calls: list[Callable[[], object]] = []  # the queue of callFromThread
        mailbox = mailbox_class(calls.append)
        mailbox._posted = Deque()
        got: list[str] = []

        def reactor() -> None:
            while len(got) < 3:
                wait(lambda: bool(calls))
                calls.pop(0)()

        def poster() -> None:
            mailbox.post(got.append, "a1")
            mailbox.post(got.append, "a2")

        world.spawn("reactor", reactor)
        world.spawn("a", poster)
        world.spawn("b", lambda: mailbox.post(got.append, "b1"))
        world.run()
        assert not world.blocked, "a post waits for ever"
        assert sorted(got) == ["a1", "a2", "b1"]
        assert got.index("a1") < got.index("a2")

    return scenario


class ModelMailbox(Mailbox):
    _woken = Shared()


def test_no_post_waits_for_ever() -> None:
    assert explore(posting(ModelMailbox)) > 20


class LowersTheFlagLast(ModelMailbox):
    def _deliver(self) -> None:
        for _ in range(len(self._posted)):
            function, args = self._posted.popleft()
            function(*args)
        self._woken = False


class LooksThenPosts(ModelMailbox):
    def post(self, function: Callable[..., object], *args: object) -> None:
        if not self._woken:
            self._woken = True
            self._call_from_thread(self._deliver)
        self._posted.append((function, args))


@pytest.mark.parametrize("broken", [LowersTheFlagLast, LooksThenPosts])
def test_who_posts_looks_second_and_who_delivers_lowers_the_flag_first(broken: type[Mailbox]) -> None:
    breaks(posting(broken), "waits for ever")
