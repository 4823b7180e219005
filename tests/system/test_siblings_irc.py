"""The sibling irc on a real network of one server, over TLS: lines in and out, a nick that is taken, and a server that restarts."""

from __future__ import annotations

import pytest
from ircnetwork import Person, network_of_one

from hendrix.client import Client
from siblings_site import PATIENCE, lines_of, site


@pytest.fixture
def network():
    with network_of_one() as network:
        yield network


def test_a_bot_on_a_real_network(network):
    ann = Person(network.port, "jimi")
    keys = f"host=localhost:port={network.port}:ca={network.authority}:nick=jimi:channels=#hx,#more:pace=0"
    with site("--workers=1", f"--sibling=irc:{keys}") as running, Client(f"{running.home}/control", PATIENCE) as control:
        assert ann.wait_for("JOIN").startswith(":jimi_!")  # jimi was taken
        with Client(f"{running.home}/control", PATIENCE) as other:
            events = control.events("subscribe", topic="irc.**")
            ann.send("PRIVMSG #hx :hello")
            assert next(events)["payload"] == {"channel": "#hx", "nick": "jimi", "text": "hello", "kind": "message"}
            assert running.get("/?irc=deployed").status == 200  # a view in a worker
            assert "PRIVMSG #hx :deployed" in ann.wait_for("PRIVMSG")

            network.stop()
            ann.close()
            network.start()
            ann = Person(network.port, "ann")
            if "jimi" not in ann_names(ann):
                ann.wait_for("JOIN")
            ann.send("PRIVMSG #hx :again")
            assert next(events)["payload"]["text"] == "again"
            line = lines_of(lines_of(other.ask("tree"))["siblings"])["irc"]["line"]
            assert line.startswith("jimi, ") and "#hx" in line
    ann.close()


def ann_names(person):
    """Who is in the channel now."""
    person.send("NAMES #hx")
    return person.wait_for(" 353 ")
