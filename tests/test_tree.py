"""The tree as text and as data."""

from __future__ import annotations

import json

from twisted.application.service import Application, IServiceCollection, MultiService, Service
from twisted.logger import capturedLogs

from hendrix.supervision import Supervisor
from hendrix.tree import data, render, walk

DESIGN = """\
hendrix                    one_for_one
├─ sockets                 tcp:8000
├─ workers                 one_for_one
│  ├─ worker 1  pid 4711
│  │  └─ crew              8 threads (1 busy, backlog 0)
│  └─ worker 2  pid 4712
└─ siblings
   ├─ irc                  connected irc.example.org #hx
   └─ tor                  abc...xyz.onion:80 -> tcp:8000"""


class Node(Service):
    def __init__(self, name, state):
        self.name = name
        self.describe = lambda: state


def tree_of_the_design():
    root = Supervisor("hendrix")
    workers = Supervisor("workers")
    first = Supervisor("worker 1  pid 4711", strategy="")
    siblings = MultiService()
    siblings.setName("siblings")
    places = [
        (root, Node("sockets", "tcp:8000")),
        (root, workers),
        (workers, first),
        (first, Node("crew", "8 threads (1 busy, backlog 0)")),
        (workers, Node("worker 2  pid 4712", "")),
        (root, siblings),
        (siblings, Node("irc", "connected irc.example.org #hx")),
        (siblings, Node("tor", "abc...xyz.onion:80 -> tcp:8000")),
    ]
    for parent, child in places:
        child.setServiceParent(parent)
    return root


def test_the_tree_is_drawn_as_in_the_design():
    assert render(data(tree_of_the_design())) == DESIGN


def test_any_service_is_a_node_with_its_name_or_its_class():
    application = Application("site")
    Service().setServiceParent(application)
    tree_of_the_design().setServiceParent(IServiceCollection(application))
    assert render(data(application)).splitlines()[:3] == ["site", "├─ Service", "└─ hendrix                 one_for_one"]


def test_a_name_that_is_wider_than_its_column_keeps_its_state_apart():
    assert render(data(Node("a" * 30, "up"))) == "a" * 30 + "  up"


def test_a_state_is_one_line():
    assert render(data(Node("a", "up\n and running"))).endswith(" up and running")


def test_as_data():
    root = tree_of_the_design()
    root.getServiceNamed("sockets").numbers = lambda: {"endpoints": 1}
    shown = json.loads(json.dumps(data(root)))
    assert (shown["name"], shown["line"], shown["numbers"]) == ("hendrix", "one_for_one", {})
    assert shown["children"][0] == {"name": "sockets", "line": "tcp:8000", "numbers": {"endpoints": 1}, "children": []}
    assert [child["name"] for child in shown["children"]] == ["sockets", "workers", "siblings"]


def test_a_node_that_fails_to_say_what_it_is_costs_nobody_the_others_answers():
    root = tree_of_the_design()
    broken = root.getServiceNamed("sockets")
    broken.describe = broken.numbers = lambda: 1 / 0
    broken.branches = "no method at all"
    with capturedLogs() as logs:
        shown = data(root)
    assert shown["children"][0] == {"name": "sockets", "line": "", "numbers": {}, "children": []}
    assert len(shown["children"]) == 3
    assert [event["log_format"] for event in logs] == ["{name} failed to {question}()"] * 2


def test_children_that_live_elsewhere_come_after_those_that_live_here():
    root = Supervisor("hendrix")
    Node("here", "").setServiceParent(root)
    root.branches = lambda: [{"name": "there", "line": "pid 7", "numbers": {"threads": 8}, "children": []}]
    assert [path for path, _ in walk(data(root))] == ["hendrix", "hendrix/here", "hendrix/there"]
    assert render(data(root)).splitlines()[-1] == "└─ there                   pid 7"
