"""The sibling ethernet with real frames, on a pair of virtual interfaces in a network namespace."""

from __future__ import annotations

import tempfile
from base64 import b64decode
from contextlib import contextmanager
from pathlib import Path

import pytest
from veth import ETHERTYPE, PATIENCE, eventually, frame, laid

from harness import Site
from hendrix.client import Client

MANY = 10_000
REACTORS = pytest.mark.parametrize("reactor", ["epoll", "uvloop"])


@pytest.fixture
def wire():
    with laid() as wire:
        yield wire


@contextmanager
def site(wire, *arguments, before=()):
    """A site in the namespace, on a UNIX socket: nobody else can reach its loopback interface."""
    with tempfile.TemporaryDirectory(prefix="hx-") as home:
        Path(home).chmod(0o777)
        running = Site("framing:app", f"--control={home}/control", *arguments, listen=[f"unix:{home}/http"], before=before)
        running.command[:0] = wire.inside
        with running:
            running.control = f"{home}/control"
            yield running


def refused(wire, *arguments, prefix=()):
    """What a site says that does not start, in one line behind what twistd says."""
    running = Site("framing:app", *arguments)
    running.command[:0] = [*wire.inside, *prefix]
    code, text = running.run()
    assert code == 1
    assert text.count("hendrix: error: ") == 1 and "Traceback" not in text, text
    return text.splitlines()[-1]


def found(tree, name):
    if tree["name"] == name:
        return tree
    return next((one for child in tree.get("children", ()) if (one := found(child, name))), None)


def ask(running, command, **arguments):
    with Client(running.control, PATIENCE) as control:
        return control.ask(command, **arguments)


def line(running, name="ethernet"):
    return found(ask(running, "tree"), name)["line"]


def numbers(running, name="ethernet"):
    return found(ask(running, "tree"), name)["numbers"]


def heard(running, topic):
    return [b64decode(event["payload"]["base64"]) for event in ask(running, "history", topic=topic)]


@REACTORS
def test_ten_thousand_frames_leave_and_arrive(wire, reactor):
    out = f"--sibling=ethernet:name=out:interface={wire.near}:rate=4000"
    into = f"--sibling=ethernet:name=in:interface={wire.far}:ethertype={ETHERTYPE:#x}"
    with site(wire, "--workers=1", out, into, before=[f"--reactor={reactor}"]) as running, wire.socket(wire.far) as other:
        assert running.get(f"/?sibling=out&count={MANY}", timeout=PATIENCE).status == 200
        expected = [frame(payload=n.to_bytes(4, "big"), source=b"\2\0\0\0\0\1").ljust(60, b"\0") for n in range(MANY)]
        assert [other.recv(2000) for _ in range(MANY)] == expected
        eventually(lambda: numbers(running, "in")["received"] == MANY, "all are heard")
        assert heard(running, f"ethernet.{wire.far}") == expected
        assert numbers(running, "out") == {"restarts": 0, "received": 0, "sent": MANY, "dropped": 0, "failed": 0, "waiting": 0}
        assert numbers(running, "in")["dropped"] == 0
        assert line(running, "in") == f"{wire.far} up, to ethernet.{wire.far}: {MANY} received, 0 sent, 0 dropped by the kernel"


@REACTORS
def test_it_comes_back_with_its_interface(wire, reactor):
    """Without privileges, which it had at the start only."""
    sibling = f"--sibling=ethernet:interface={wire.near}:ethertype={ETHERTYPE:#x}:promiscuous=yes"
    with site(wire, sibling, before=["--uid=65534", "--gid=65534", f"--reactor={reactor}"]) as running:

        def both_ways(marker):
            """A frame of the site that has waited arrives, and the site hears one."""
            with wire.socket(wire.far) as far:
                running.get("/?count=1")
                assert far.recv(2000)[12:14] == b"\x88\xb5"
                far.send(frame(payload=marker).ljust(60, b"\0"))
            eventually(lambda: any(marker in one for one in heard(running, f"ethernet.{wire.near}")), marker)

        both_ways(b"at first")
        for marker, away, state, back in (
            (b"was down", ["link", "set", wire.near, "down"], "down", lambda: wire.ip("link", "set", wire.near, "up")),
            (b"was gone", ["link", "delete", wire.near], "missing", wire.lay),
        ):
            wire.ip(*away)
            eventually(lambda state=state: line(running).startswith(f"{wire.near} {state},"), state)
            running.wait_for_log(f"{wire.near} is {state}: waiting until it is up")
            assert running.get("/?count=1").status == 200
            eventually(lambda: numbers(running)["waiting"] == 1, "it waits")
            back()
            eventually(lambda: numbers(running)["waiting"] == 0, "it has come back")
            both_ways(marker)
            assert wire.shown(wire.near)["promiscuity"] == 1
        assert numbers(running)["restarts"] == 0


def test_made_anew_it_opens_another_socket(wire):
    with site(wire, f"--sibling=framing.crashing:interface={wire.near}:name=ethernet") as running, wire.socket(wire.far) as far:
        ask(running, "publish", topic="crash", payload=None)
        eventually(lambda: numbers(running)["restarts"] == 1, "it is made anew")
        running.get("/?count=1")
        assert far.recv(2000)[12:14] == b"\x88\xb5"


def test_without_privileges_it_cannot_be_made_anew_and_says_so(wire):
    sibling = f"--sibling=framing.crashing:interface={wire.near}"
    with site(wire, sibling, before=["--uid=65534", "--gid=65534"]) as running:
        ask(running, "publish", topic="crash", payload=None)
        running.wait_for_log("crashing died and is started again: RuntimeError: as it was told")
        running.wait_for_log(f"crashing died and is started again: {sibling}: raw frames need the capability CAP_NET_RAW")
        assert running.get("/").status == 200


def test_it_waits_for_an_interface_that_is_down_at_the_start(wire):
    wire.ip("link", "set", wire.near, "down")
    with site(wire, f"--sibling=ethernet:interface={wire.near}") as running:
        running.wait_for_log(f"{wire.near} is down: waiting until it is up")
        wire.ip("link", "set", wire.near, "up")
        running.wait_for_log(f"{wire.near} is up again")


def test_what_is_heard(wire):
    siblings = [
        f"--sibling=ethernet:name={name}:interface={wire.near}:topic=wire.{name}:{keys}".rstrip(":")
        for name, keys in {
            "all": "", "one": f"ethertype={ETHERTYPE:#x}", "nosy": f"ethertype={ETHERTYPE:#x}:promiscuous=yes",
            "ours": f"ethertype={ETHERTYPE:#x}:outgoing=yes", "every": "outgoing=yes",
        }.items()
    ]  # fmt: skip
    with site(wire, *siblings) as running, wire.socket(wire.far) as far:
        here = wire.address(wire.near)
        far.send(frame(here, b"for us").ljust(60, b"\0"))
        far.send(frame(here, b"another type", 0x88B6).ljust(60, b"\0"))
        far.send(frame(b"\2\0\0\0\0\x99", b"for others").ljust(60, b"\0"))
        far.send(frame(b"\1\0\x5e\0\0\1", b"to a group").ljust(60, b"\0"))
        eventually(lambda: any(b"to a group" in one for one in heard(running, "wire.every")), "it has come")
        running.get("/?sibling=one&count=1")
        running.get("/?sibling=ours&count=1")
        assert [far.recv(2000)[12:14] for _ in range(2)] == [b"\x88\xb5"] * 2
        far.send(frame(payload=b"the end").ljust(60, b"\0"))
        heads = {}
        for name in ("all", "one", "nosy", "ours", "every"):
            eventually(lambda name=name: any(b"the end" in one for one in heard(running, f"wire.{name}")), f"{name} has all")
            heads[name] = [one[14:26].rstrip(b"\0").decode() for one in heard(running, f"wire.{name}")]
        assert heads == {
            "all": ["for us", "another type", "to a group", "the end"],
            "one": ["for us", "to a group", "the end"],
            "nosy": ["for us", "for others", "to a group", "the end"],
            "ours": ["for us", "to a group", "", "", "the end"],
            "every": ["for us", "another type", "to a group", "", "", "the end"],
        }
        kinds = [event["payload"]["kind"] for event in ask(running, "history", topic="wire.ours")]
        assert kinds == ["host", "multicast", "outgoing", "outgoing", "broadcast"]
        payload = ask(running, "history", topic="wire.one")[0]["payload"]
        assert payload.pop("base64")
        assert payload == {
            "interface": wire.near, "destination": here.hex(":"), "source": "02:00:00:00:00:07", "ethertype": ETHERTYPE,
            "kind": "host", "length": 60,
        }  # fmt: skip


def test_what_does_not_fit_is_counted_and_the_rest_goes(wire):
    with site(wire, f"--sibling=ethernet:interface={wire.near}") as running, wire.socket(wire.far) as far:
        running.get("/?count=1&times=1000")  # more than the MTU
        running.get("/?count=1&times=300")
        assert len(far.recv(2000)) == 1214
        running.wait_for_log("cannot send a frame of 4014 bytes: [Errno 90] Message too long")
        assert numbers(running)["failed"] == 1


def test_what_waits_is_sent_before_the_end(wire):
    with site(wire, f"--sibling=ethernet:interface={wire.near}:rate=100") as running, wire.socket(wire.far) as far:
        running.get("/?count=100")
        running.stop()
        assert [far.recv(2000)[14:18] for _ in range(100)] == [n.to_bytes(4, "big") for n in range(100)]


def test_without_the_capability_it_does_not_start(wire):
    words = refused(wire, f"--sibling=ethernet:interface={wire.near}", prefix=["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"])
    assert f"--sibling=ethernet:interface={wire.near}: raw frames need the capability CAP_NET_RAW: start hendrix as root" in words


def test_an_ordinary_user_with_the_capability_starts(wire):
    with tempfile.TemporaryDirectory(prefix="hx-") as home:
        Path(home).chmod(0o777)
        running = Site(
            "framing:app", f"--control={home}/control", f"--sibling=ethernet:interface={wire.near}", listen=[f"unix:{home}/http"]
        )
        capable = ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=+net_raw", "--ambient-caps=+net_raw"]
        running.command[:0] = [*wire.inside, "setpriv", *capable]
        with running, wire.socket(wire.far) as far:
            running.get("/?count=1")
            assert far.recv(2000)[12:14] == b"\x88\xb5"


def test_no_such_interface(wire):
    words = refused(wire, "--sibling=ethernet:interface=eth99")
    assert "--sibling=ethernet:interface=eth99: interface=eth99: there is no such interface; there is far0, lo, near0" in words


def test_an_interface_without_ethernet_frames(wire):
    wire.ip("tuntap", "add", "dev", "tun0", "mode", "tun")
    assert "interface=tun0: it has no Ethernet frames" in refused(wire, "--sibling=ethernet:interface=tun0")


def test_a_bad_spec(wire):
    keys = "interface, ethertype, topic, promiscuous, outgoing, rate"
    words = refused(wire, "--sibling=ethernet:iface=eth0")
    assert f"there is no key iface; did you mean interface?; ethernet knows {keys}" in words
