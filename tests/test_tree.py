"""The tree as text and as data."""

from __future__ import annotations

import json

from twisted.application.service import Application, IServiceCollection, MultiService, Service

from hendrix.supervision import Supervisor
from hendrix.tree import as_dict, render

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
    assert render(tree_of_the_design()) == DESIGN


def test_any_service_is_a_node_with_its_name_or_its_class():
    application = Application("site")
    Service().setServiceParent(application)
    tree_of_the_design().setServiceParent(IServiceCollection(application))
    assert render(application).splitlines()[:3] == ["site", "├─ Service", "└─ hendrix                 one_for_one"]


def test_a_name_that_is_wider_than_its_column_keeps_its_state_apart():
    assert render(Node("a" * 30, "up")) == "a" * 30 + "  up"


def test_a_state_is_one_line():
    assert render(Node("a", "up\n and running")).endswith(" up and running")


def test_as_data():
    root = tree_of_the_design()
    root.getServiceNamed("sockets").startService()
    data = json.loads(json.dumps(as_dict(root)))
    assert (data["name"], data["state"], data["running"]) == ("hendrix", "one_for_one", False)
    assert data["children"][0] == {"name": "sockets", "state": "tcp:8000", "running": True, "children": []}
    assert [child["name"] for child in data["children"]] == ["sockets", "workers", "siblings"]
