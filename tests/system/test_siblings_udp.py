"""The sibling udp with real datagrams: from one process to a view of another, and to a multicast group on the loopback interface."""

from __future__ import annotations

import re
import socket
import struct
from urllib.parse import urlencode

from hendrix.client import Client
from siblings_site import PATIENCE, lines_of, site

GROUP = "239.255.42.42"


def test_datagrams_go_in_and_out_of_a_site_with_workers():
    sibling = "--sibling=udp:port=0:interface=127.0.0.1:topic=in"
    with site("--workers=1", sibling) as running, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(PATIENCE)
        peer.bind(("127.0.0.1", 0))
        with Client(f"{running.home}/control", PATIENCE) as control, Client(f"{running.home}/control", PATIENCE) as other:
            line = lines_of(lines_of(other.ask("tree"))["siblings"])["udp"]["line"]
            port = int(re.search(r":(\d+) ", line)[1])
            events = control.events("subscribe", topic="in")
            peer.sendto(b"hello", ("127.0.0.1", port))
            assert next(events)["payload"] == {"host": "127.0.0.1", "port": peer.getsockname()[1], "text": "hello"}
        query = urlencode({"udp": peer.getsockname()[1]})
        assert running.get(f"/?{query}").status == 200
        assert peer.recvfrom(100) == (b"from a view", ("127.0.0.1", port))


def test_it_joins_a_multicast_group():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with site(f"--sibling=udp:port={port}:groups={GROUP}:topic=in") as running, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("0.0.0.0"))
        peer.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, struct.pack("b", 1))
        with Client(f"{running.home}/control", PATIENCE) as control:
            events = control.events("subscribe", topic="in")
            peer.sendto(b"to all", (GROUP, port))
            assert next(events)["payload"]["text"] == "to all"
