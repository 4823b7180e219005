"""Redis over TLS, and Redis behind a sentinel, with passwords: by nothing but the URL."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from clusters import Node, Turning

import redis_server
from hendrix.errors import ConfigurationError
from hendrix.hey_joe.brokers.url import broker_of
from hendrix.hey_joe.hub import Hub

MISSING = redis_server.missing()
needs_redis = pytest.mark.skipif(bool(MISSING), reason=MISSING)

DEADLINE = 60.0


@pytest.fixture
def turning():
    turning = Turning()
    yield turning
    turning.stop()


@pytest.fixture
def node(turning):
    """Makes nodes of a URL."""
    made = []

    def make(url):
        node = Node(turning, turning.call(lambda: Hub(broker=broker_of(url, turning.reactor))))
        made.append(node)
        return node

    yield make
    for each in made:
        each.stop()


def wait(turning, condition, complaint):
    """As `Turning.until`, for what takes longer."""
    deadline = time.monotonic() + DEADLINE
    while not turning.call(condition):
        assert time.monotonic() < deadline, complaint() if callable(complaint) else complaint
        time.sleep(0.05)


@needs_redis
def test_tls_with_an_authority_and_without(turning, node, certificate):
    port = redis_server.free_port()
    tls = ["--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no"]
    files = [
        "--tls-cert-file",
        str(certificate.cert),
        "--tls-key-file",
        str(certificate.key),
        "--tls-ca-cert-file",
        str(certificate.authority),
    ]
    with redis_server.RedisServer(*tls, *files, "--requirepass", "a/b", port=port):
        url = f"rediss://:a%2Fb@127.0.0.1:{port}"
        one, other = (node(f"{url}?ssl_ca_certs={certificate.authority}") for _ in range(2))
        stranger = node(url)
        wait(turning, lambda: one.connected and other.connected, lambda: turning.call(one.hub.describe))
        reader = other.reader("a")
        one.publish("a", 1)
        turning.until(lambda: reader.payloads == [1])
        wait(turning, lambda: "certificate" in stranger.hub.describe().lower(), lambda: turning.call(stranger.hub.describe))
        assert not turning.call(lambda: stranger.connected)


class Sentinel:
    """One that watches a master with one replica, and needs a password as they do."""

    def __init__(self, master, password):
        self.port = redis_server.free_port()
        self._file = Path(master.directory, "sentinel.conf")
        self._file.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {master.directory}\nrequirepass sent-inel\n"
            f"sentinel monitor mine 127.0.0.1 {master.port} 1\nsentinel auth-pass mine {password}\n"
            "sentinel down-after-milliseconds mine 1000\nsentinel failover-timeout mine 5000\n"
        )

    def __enter__(self):
        log = open(self._file.with_name("sentinel.log"), "wb")
        with log:
            self._process = subprocess.Popen(["redis-sentinel", str(self._file)], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        return self

    def __exit__(self, kind, error, trace):
        self._process.kill()
        self._process.wait()

    def ask(self, *words):
        command = ["redis-cli", "-p", str(self.port), "-a", "sent-inel", "--no-auth-warning", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE).stdout


@needs_redis
def test_a_sentinel_says_who_is_the_master_now(turning, node):
    locked = ("--requirepass", "p@ss", "--masterauth", "p@ss")
    with redis_server.RedisServer(*locked) as master:
        with (
            redis_server.RedisServer(*locked, "--replicaof", "127.0.0.1", str(master.port)) as replica,
            Sentinel(master, "p@ss") as sentinel,
        ):
            seen = f"port\n{replica.port}\n"
            wait(
                turning, lambda: seen in sentinel.ask("sentinel", "replicas", "mine"), lambda: sentinel.ask("sentinel", "replicas", "mine")
            )
            ready = "master-link-status\nok"
            wait(
                turning, lambda: ready in sentinel.ask("sentinel", "replicas", "mine"), lambda: sentinel.ask("sentinel", "replicas", "mine")
            )
            url = f"redis+sentinel://:p%40ss@127.0.0.1:{sentinel.port}/mine?sentinel_password=sent-inel"
            one, other = node(url), node(url)
            wait(turning, lambda: one.connected and other.connected, lambda: turning.call(one.hub.describe))
            reader = other.reader("a")
            one.publish("a", 1)
            turning.until(lambda: reader.payloads == [1])
            master.kill()
            wait(turning, lambda: not one.connected and not other.connected, "they do not see that the master has gone")
            wait(turning, lambda: one.connected and other.connected, lambda: turning.call(one.hub.describe))
            one.publish("a", 2)
            turning.until(lambda: reader.payloads == [1, 2], lambda: reader.got)
            assert "p@ss" not in turning.call(one.hub.describe)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis+sentinel://127.0.0.1", "give the name of the service"),
        ("redis://127.0.0.1?sentinel_password=x", "there is no option sentinel_password"),
        ("redis://127.0.0.1?ssl_ca_certs=x", "ssl_ca_certs is for TLS: begin with rediss://"),
        ("redis+sentinel://127.0.0.1/mine?ssl_ca_certs=x", "ssl_ca_certs is for TLS: begin with rediss+sentinel://"),
    ],
)
@needs_redis
def test_a_url_that_says_what_cannot_be(turning, url, says):
    with pytest.raises(ConfigurationError, match=says.replace("+", r"\+")):
        turning.call(lambda: broker_of(url, turning.reactor))
