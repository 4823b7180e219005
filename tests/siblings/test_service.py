from __future__ import annotations

import pytest
from bell import Bell, made
from sibling_house import House
from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, fail

from hendrix.errors import ConfigurationError, GivenUp
from hendrix.hey_joe.branch import NoHub
from hendrix.siblings.registry import find, installed
from hendrix.siblings.service import Sibling, Siblings, _labels
from hendrix.siblings.spec import Spec
from hendrix.tree import data


@pytest.fixture
def house():
    made.clear()
    return House()


def sibling(house, text="bell.make_service:volume=2"):
    return Sibling("bell", Spec.parse(text), house.context, grace=5)


def running(house, text="bell.make_service:volume=2"):
    root = Siblings(house.clock, [sibling(house, text)])
    root.startService()
    return root


def line(root):
    return data(root)["children"][0]["line"]


def test_it_starts_and_stops_as_what_the_function_made(house):
    root = running(house)
    assert line(root) == "volume 2"
    root.stopService()
    assert made[0].life == ["privileged", "start", "stop"]


def test_it_hears_and_publishes_from_its_start_to_its_end(house):
    house.branch.publish("bell.ring", 1)
    root = running(house)
    house.branch.publish("bell.ring", 2)
    root.stopService()
    house.branch.publish("bell.ring", 3)
    assert house.payloads == [("bell.ring", 1), ("bell.ring", 2), ("bell.rang", 4), ("bell.ring", 3)]


def test_one_that_raises_hears_on(house, capsys):
    root = running(house)
    made[0].volume = None
    house.branch.publish("bell.ring", 2)
    made[0].volume = 1
    house.branch.publish("bell.ring", 3)
    assert house.payloads[-1] == ("bell.rang", 3)
    root.stopService()


def test_one_that_dies_is_stopped_and_made_anew_with_a_pause_that_grows(house):
    root = running(house)
    made[0].on_failure(OSError("broken"))
    assert made[0].life[-1] == "stop"
    assert len(made) == 2 and made[1].life == ["privileged", "start"]  # at once the first time
    made[1].on_failure(OSError("broken"))
    assert len(made) == 2
    house.clock.advance(0.2)
    assert len(made) == 3
    assert line(root) == "volume 2, 2 restarts"
    house.branch.publish("bell.ring", 1)
    assert house.payloads.count(("bell.rang", 2)) == 1  # those who have died hear nothing


def test_deaths_without_end_never_go_up(house):
    root = running(house)
    died = []
    root.on_failure = died.append
    for life in range(1, 50):
        assert len(made) == life
        made[-1].on_failure(GivenUp("I cannot any more"))
        house.clock.pump([0.1] * 51)  # no pause is longer
    assert not died and root.running
    while len(made) < 60:  # as fast as it comes back
        before = len(made)
        made[-1].on_failure(OSError("again"))
        assert any(len(made) > before or house.clock.advance(0.1) for _ in range(53))
    assert not died and root.running
    root.stopService()
    house.clock.advance(60)
    assert len(made) == 60


def test_a_start_that_fails_later_is_a_death(house):
    begun = Deferred()
    Bell.start_result = begun
    try:
        running(house)
        Bell.start_result = None
        begun.errback(OSError("no answer"))
    finally:
        Bell.start_result = None
    assert len(made) == 2 and made[1].life == ["privileged", "start"]


def test_a_stop_that_hangs_holds_nobody_up(house):
    root = running(house)
    made[0].stop_result = Deferred()
    stopped = []
    root.stopService().addCallback(stopped.append)
    house.clock.advance(4)
    assert not stopped
    house.clock.advance(1)
    assert stopped


def test_a_stop_that_fails_is_not_the_news(house):
    root = running(house)
    made[0].stop_result = fail(OSError("no"))
    assert root.stopService().called


def test_its_children_are_in_the_tree(house):
    root = running(house)
    parent, child = MultiService(), Service()
    child.setName("clapper")
    child.setServiceParent(parent)
    root.getServiceNamed("bell")._service = parent
    assert [one["name"] for one in data(root)["children"][0]["children"]] == ["clapper"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bel", "there is no sibling 'bel'; there is "),
        ("ecko", "did you mean echo?"),
        ("echo", "endpoint is missing; echo knows endpoint, topic"),
        ("bell.make_service:volume=x", "volume=x: give a whole number"),
        ("bell.make_services", "did you mean make_service?"),
        ("bell.made", "it is no function that takes (context, ...)"),
        ("bell.no_service", "its function gives no Twisted service"),
        ("bell.make_service:fails=make", "no bell"),
        ("nowhere.make_service", "there is no module 'nowhere'"),
    ],
)
def test_what_cannot_work_is_one_line(house, text, words):
    with pytest.raises(ConfigurationError) as caught:
        sibling(house, text)
    assert words in str(caught.value) and str(caught.value).startswith(f"--sibling={text}: ")


def test_one_that_cannot_start_at_first_keeps_the_site_from_starting(house):
    with pytest.raises(ConfigurationError, match=r"fails=bind: No such file"):
        running(house, "bell.make_service:fails=bind")


def test_two_of_a_kind_have_names_of_their_own():
    specs = [Spec.parse(text) for text in ("echo:a=1", "echo:a=2", "my.bell.make_service", "echo:name=door")]
    assert list(_labels(specs)) == ["echo", "echo-2", "bell", "door"]


def test_the_hub_is_not_there_before_the_start(house):
    context = house.context()
    context._hub = lambda: None
    with pytest.raises(NoHub):
        context.publish("a", 1)


def test_all_that_are_installed_can_be_found():
    for name, found in installed():
        assert callable(found), found
        assert found is find(name, name)
