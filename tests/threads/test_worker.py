"""What a worker holds is sent in order, all of a batch before any is told; what fails is logged and the rest goes out."""

from __future__ import annotations

import threading

import pytest
from twisted.logger import ILogObserver, globalLogPublisher

from hendrix.threads.worker import Worker

PATIENCE = 30.0


class Parcel:
    def __init__(self, name: str, diary: list[str], fails: str = "") -> None:
        self._name, self._diary, self._fails = name, diary, fails

    def send(self) -> None:
        self._do("send")

    def sent(self) -> None:
        self._do("sent")

    def _do(self, what: str) -> None:
        self._diary.append(f"{what} {self._name}")
        if self._fails == what:
            raise OSError(what)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def make(clock: Clock | None = None) -> Worker:
    return Worker("jimi", clock or Clock())


def test_all_are_sent_before_any_is_told() -> None:
    worker, diary = make(), list[str]()
    for name in "abc":
        worker.hold(Parcel(name, diary))
    assert diary == []
    worker.dispatch()
    assert diary == ["send a", "send b", "send c", "sent a", "sent b", "sent c"]
    worker.dispatch()
    assert len(diary) == 6


def test_the_time_is_that_of_the_first_of_a_batch() -> None:
    clock = Clock()
    worker, diary = make(clock), list[str]()
    clock.now = 1.0
    worker.hold(Parcel("a", diary))
    clock.now = 2.0
    worker.hold(Parcel("b", diary))
    assert worker.since == 1.0
    worker.dispatch()
    worker.hold(Parcel("c", diary))
    assert worker.since == 2.0


@pytest.mark.parametrize("fails", ["send", "sent"])
def test_what_fails_is_logged_and_the_others_go_out(fails: str) -> None:
    worker, diary = make(), list[str]()
    worker.hold(Parcel("a", diary, fails))
    worker.hold(Parcel("b", diary))
    failures = []

    def observe(event: dict[str, object]) -> None:
        failures.append(event.get("log_failure"))

    observer: ILogObserver = observe  # type: ignore[assignment]
    globalLogPublisher.addObserver(observer)
    try:
        worker.dispatch()
    finally:
        globalLogPublisher.removeObserver(observer)
    assert diary == ["send a", "send b", "sent a", "sent b"]
    assert [type(failure.value) for failure in failures] == [OSError]  # type: ignore[attr-defined]


def test_what_is_held_while_sending_goes_in_the_same_batch() -> None:
    worker, diary = make(), list[str]()

    class Bearer(Parcel):
        def send(self) -> None:
            super().send()
            worker.hold(Parcel("child", diary))

    worker.hold(Bearer("mother", diary))
    worker.dispatch()
    assert diary == ["send mother", "send child", "sent mother", "sent child"]


def test_the_monitor_sends_only_while_the_worker_does_not() -> None:
    worker, diary = make(), list[str]()
    sending, go_on = threading.Event(), threading.Event()

    class Slow(Parcel):
        def send(self) -> None:
            sending.set()
            go_on.wait(PATIENCE)
            super().send()

    worker.hold(Slow("a", diary))
    thread = threading.Thread(target=worker.dispatch)
    thread.start()
    assert sending.wait(PATIENCE)
    worker.hold(Parcel("b", diary))
    worker.dispatch_for_it()  # returns at once
    assert diary == []
    go_on.set()
    thread.join(PATIENCE)
    assert diary == ["send a", "send b", "sent a", "sent b"]
    worker.hold(Parcel("c", diary))
    worker.dispatch_for_it()
    assert diary[4:] == ["send c", "sent c"]


def test_the_worker_waits_for_the_monitor_to_have_sent() -> None:
    worker, diary = make(), list[str]()
    sending, go_on = threading.Event(), threading.Event()

    class Slow(Parcel):
        def send(self) -> None:
            sending.set()
            go_on.wait(PATIENCE)
            super().send()

    worker.hold(Slow("a", diary))
    monitor = threading.Thread(target=worker.dispatch_for_it)
    monitor.start()
    assert sending.wait(PATIENCE)

    def stream() -> None:
        worker.dispatch()
        diary.append("streams")

    own = threading.Thread(target=stream)
    own.start()
    assert not worker.held, "nothing to see in `held`, and still on its way"
    go_on.set()
    own.join(PATIENCE)
    monitor.join(PATIENCE)
    assert diary == ["send a", "sent a", "streams"]
