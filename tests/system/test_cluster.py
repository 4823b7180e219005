"""Two trees with two workers each, on two ports, that a broker joins to one."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sysconfig
import tempfile
import threading
from collections import Counter
from pathlib import Path
from urllib.parse import urlencode

import postgres_server
import pytest

import redis_server
from harness import Site
from hendrix.client import Client, publish

PATIENCE = 60.0
HX = f"{sysconfig.get_path('scripts')}/hx"
REDIS, POSTGRESQL = redis_server.missing(), postgres_server.missing()
SERVERS = [
    pytest.param(redis_server.RedisServer, id="redis", marks=pytest.mark.skipif(bool(REDIS), reason=REDIS)),
    pytest.param(postgres_server.PostgresServer, id="postgresql", marks=pytest.mark.skipif(bool(POSTGRESQL), reason=POSTGRESQL)),
]


class Tree(Site):
    """A `Site` of joe:app at a broker."""

    def __init__(self, broker, *arguments):
        self._home = tempfile.TemporaryDirectory(prefix="hx-")
        self.control, self._calls = f"{self._home.name}/joe.control", Path(self._home.name, "calls")
        env = {"CALLS": str(self._calls), "HENDRIX_BROKER": broker}
        super().__init__("joe:app", f"--control={self.control}", "--workers=2", *arguments, env=env)

    def kill(self):
        super().kill()
        self._home.cleanup()

    def start(self):
        super().start()
        self._wait_until(lambda: self.numbers()["broker_connected"], PATIENCE, "does not reach its broker")

    def ask(self, command, **arguments):
        with Client(self.control, PATIENCE) as client:
            return client.ask(command, **arguments)

    def numbers(self):
        return self.ask("stats")["nodes"]["hendrix/hub"]

    def line(self):
        return next(node["line"] for node in self.ask("tree")["children"] if node["name"] == "hub")

    def view(self, name, **query):
        response = self.get(f"/{name}?{urlencode(query, doseq=True)}")
        assert response.status == 200, response.text
        return json.loads(response.text)

    def calls(self, what):
        lines = self._calls.read_text().splitlines() if self._calls.exists() else []
        return [call["payload"] for call in map(json.loads, lines) if call["what"] == what]


class Listener:
    """A subscriber at the control socket of a tree."""

    def __init__(self, tree, pattern):
        self.events, self._more = [], threading.Condition()
        self._client = Client(tree.control, PATIENCE)
        answers = self._client._answers("subscribe", {"topic": pattern})
        next(answers)
        threading.Thread(target=self._hear, args=(answers,), daemon=True).start()

    def _hear(self, answers):
        try:
            for event in answers:
                with self._more:
                    self.events.append(event)
                    self._more.notify_all()
        except OSError:
            pass  # its tree has gone

    @property
    def payloads(self):
        return [event["payload"] for event in self.events if "payload" in event]

    @property
    def gaps(self):
        return [event for event in self.events if "gap" in event]

    def until(self, condition):
        with self._more:
            assert self._more.wait_for(condition, PATIENCE), self.events[-5:]


@pytest.fixture(params=SERVERS)
def server(request):
    with request.param() as server:
        yield server


@pytest.fixture
def trees(server):
    with Tree(server.url) as one, Tree(server.url) as other:
        yield one, other


def test_what_is_published_anywhere_arrives_everywhere_once_and_in_order(trees):
    listeners = [Listener(tree, "many.*") for tree in trees for _ in range(2)]
    count = 100

    def publish(number):
        """On one connection, which is one process."""
        connection = http.client.HTTPConnection("127.0.0.1", trees[number % 2].port, timeout=PATIENCE)
        for n in range(0, count, 10):
            payloads = [json.dumps([number, m]) for m in range(n, n + 10)]
            connection.request("GET", f"/publish?{urlencode({'topic': f'many.{number}', 'payload': payloads}, doseq=True)}")
            assert connection.getresponse().read() == b"null"
        connection.close()

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for listener in listeners:
        listener.until(lambda listener=listener: len(listener.payloads) >= 4 * count)
        assert not listener.gaps
        for number in range(4):
            assert [n for who, n in listener.payloads if who == number] == list(range(count))


def test_handlers_and_consumers_are_called_once_in_all_trees(trees):
    for n in range(20):
        trees[n % 2].view("publish", topic="once.a", payload=str(n))
        trees[n % 2].view("enqueue", payload=str(100 + n))
    expected = Counter([*map(str, range(20)), *(str({"done": 100 + n}) for n in range(20))])

    def handled():
        return Counter(str(payload) for tree in trees for payload in tree.calls("once"))

    trees[0]._wait_until(lambda: handled().total() >= 40, PATIENCE, "does not handle all")
    assert handled() == expected
    assert Counter(payload for tree in trees for payload in tree.calls("work")) == Counter(range(100, 120))


def test_the_broker_dies_and_comes_back(trees, server):
    listeners = [Listener(tree, "kept.a") for tree in trees]
    trees[0].view("publish", topic="kept.a", payload="0")
    for listener in listeners:
        listener.until(lambda listener=listener: listener.payloads == [0])
    server.kill()
    trees[0]._wait_until(lambda: not any(tree.numbers()["broker_connected"] for tree in trees), PATIENCE, "does not see it")
    assert "away for" in trees[0].line()
    trees[0].view("publish", topic="kept.a", payload=["1", "2"])
    listeners[0].until(lambda: listeners[0].payloads == [0, 1, 2])
    server.start()
    listeners[1].until(lambda: listeners[1].payloads == [0, 1, 2])
    trees[1].view("publish", topic="kept.a", payload="3")
    for listener in listeners:
        listener.until(lambda listener=listener: 3 in listener.payloads)
        assert listener.payloads == [0, 1, 2, 3]
        assert {"gap": "kept.a", "lost": None, "reason": "broker"} in listener.gaps


def test_an_outsider_publishes_through_the_broker(trees, server, tmp_path):
    listeners = [Listener(tree, "kept.*") for tree in trees]
    publish("kept.out", "client", broker=server.url, history=100)
    env = {**os.environ, "HENDRIX_BROKER": server.url}
    env.pop("HENDRIX_CONTROL", None)
    env["XDG_RUNTIME_DIR"] = env["TMPDIR"] = str(tmp_path)  # no tree of another test runs here
    for number, words in enumerate(([f"--broker={server.url}", "--history=100"], ["--history=100"])):
        subprocess.run([HX, "publish", "kept.out", str(number), *words], check=True, timeout=PATIENCE, env=env, cwd=tmp_path)
    for listener in listeners:
        listener.until(lambda listener=listener: len(listener.payloads) >= 3)
        assert listener.payloads == ["client", 0, 1] and not listener.gaps
    assert trees[1].view("history", topic="kept.out") == ["client", 0, 1]
    publish("once.out", "handled", broker=server.url)
    trees[0]._wait_until(lambda: any("handled" in tree.calls("once") for tree in trees), PATIENCE, "does not handle it")


@pytest.mark.parametrize(
    ("broker", "topic", "says"),
    [
        ("memory:", "a", "broker: memory: is inside one tree of processes"),
        ("ftp://a", "a", "broker: give memory: or the URL of an engine"),
        ("redis://:sekret@127.0.0.1:{port}", "a", "redis://127.0.0.1:{port}: "),
        ("redis://127.0.0.1:{port}", "a b", "'a b': a topic is levels of letters"),
    ],
)
def test_an_outsider_is_told_in_one_line_what_is_wrong(broker, topic, says):
    port = redis_server.free_port()
    command = [HX, "publish", topic, "1", f"--broker={broker.format(port=port)}"]
    done = subprocess.run(command, timeout=PATIENCE, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith(f"hendrix: error: {says.format(port=port)}"), done.stderr
    assert done.stderr.count("\n") == 1 and "sekret" not in done.stderr


def test_a_tree_is_killed_and_whoever_was_there_is_not_any_more(server):
    with Tree(server.url) as one:
        listener = Listener(one, "$presence.room")
        other = Tree(server.url)
        try:
            other.start()
            Listener(other, "room")
            listener.until(lambda: len(listener.payloads) == 1)
            os.killpg(other.pid, signal.SIGKILL)
            listener.until(lambda: len(listener.payloads) == 2)
            assert [payload["event"] for payload in listener.payloads] == ["join", "leave"]
        finally:
            other.kill()


@pytest.mark.skipif(bool(REDIS), reason=REDIS)
def test_a_password_is_not_seen():
    with redis_server.RedisServer("--requirepass", "sekret/pw") as locked:
        url = f"redis://:sekret%2Fpw@127.0.0.1:{locked.port}"
        with Tree(url) as tree:
            assert tree.line().startswith(f"redis://127.0.0.1:{locked.port} (lag")
            seen = tree.log + json.dumps(tree.ask("tree")) + json.dumps(tree.ask("stats"))
            seen += subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
            assert "sekret" not in seen
        assert "sekret" not in tree.log


@pytest.mark.skipif(bool(POSTGRESQL), reason=POSTGRESQL)
def test_a_password_of_postgresql_is_not_seen():
    with postgres_server.PostgresServer(auth="scram-sha-256") as locked, Tree(locked.url) as tree:
        assert tree.line().startswith(f"postgresql://127.0.0.1:{locked.port}/postgres (lag")
        seen = tree.log + json.dumps(tree.ask("tree")) + json.dumps(tree.ask("stats"))
        seen += subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
        assert "sekret" not in seen
