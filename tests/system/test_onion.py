"""A page of the site through a private tor network on the loopback interface: as an onion, and again when its tor has been restarted."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
import tors

from siblings_site import site

# Seconds for a network to find a consensus: ten or so, and many more on a machine that is busy.
BOOTSTRAP = 180.0


@pytest.fixture(scope="module")
def network():
    tors.needed()
    if shutil.which("curl") is None:
        pytest.skip("curl is missing, and with it the test of an onion in a real network: apt-get install curl")
    with tempfile.TemporaryDirectory(prefix="tor-net-") as name:
        network = None
        try:
            network = tors.Network(Path(name))
            yield network
        finally:
            if network is not None:
                network.stop()


def test_a_page_through_the_network(network):
    (socks,) = tors.free_ports(1)
    client = network.member("client", f"SocksPort 127.0.0.1:{socks}")
    service = network.member("service", "SocksPort 0")
    with site(f"--listen=onion:80:control={service.socket}", "--workers=1", app="onion_site:app") as running:
        onion = running.addresses[0].split(":")[1]
        tors.wait_until(lambda: tors.ready(client) and tors.ready(service), "the network is there", BOOTSTRAP)
        running.wait_for_log(f"http://{onion} is known to the directory", BOOTSTRAP)
        assert fetched(socks, onion).splitlines()[:3] == ["REMOTE_ADDR=", "SERVER_PORT=80", f"HTTP_HOST={onion}"]

        known = running.log.count("is known to the directory")
        service.stop()
        running.wait_for_log("tor has gone")
        service.start()
        tors.wait_until(lambda: running.log.count("is known to the directory") > known, "it is published again", BOOTSTRAP)
        tors.wait_until(lambda: client.ask("SIGNAL NEWNYM") == ["250 OK"], "the client forgets its circuits")
        assert f"HTTP_HOST={onion}" in fetched(socks, onion)


def fetched(socks, onion):
    """The page; a client may be told of an introduction point that has just gone, and tries again."""
    command = ["curl", "--silent", "--show-error", "--max-time", "30", "--socks5-hostname", f"127.0.0.1:{socks}", f"http://{onion}/"]
    deadline = time.monotonic() + BOOTSTRAP
    while True:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout
        assert time.monotonic() < deadline, done.stderr
        time.sleep(0.5)
