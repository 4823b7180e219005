"""The hub in real processes: from each door to each subscriber, once and in order, whatever dies in between."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlencode

import pytest

from harness import Site
from hendrix.client import Client, CommandError, publish
from hendrix.hey_joe.tokens import sign

ROOT = Path(__file__).parents[2]
SECRET = "the wind cries Mary"
HX = f"{sysconfig.get_path('scripts')}/hx"
PATIENCE = 60.0


class Joe(Site):
    """A `Site` of joe:app, its control socket, and what its handlers have told."""

    def __init__(self, *arguments):
        self._home = tempfile.TemporaryDirectory(prefix="hx-")
        self.control, self._calls = f"{self._home.name}/joe.control", Path(self._home.name, "calls")
        super().__init__("joe:app", f"--control={self.control}", *arguments, env={"CALLS": str(self._calls), "HENDRIX_SECRET": SECRET})

    def kill(self):
        super().kill()
        self._home.cleanup()

    def view(self, name, **query):
        response = self.get(f"/{name}?{urlencode(query, doseq=True)}")
        assert response.status == 200, response.text
        return json.loads(response.text)

    def ask(self, command, **arguments):
        with Client(self.control, PATIENCE) as client:
            return client.ask(command, **arguments)

    def calls(self, what):
        lines = self._calls.read_text().splitlines() if self._calls.exists() else []
        return [call for call in map(json.loads, lines) if call["what"] == what]

    def told(self, what, payload, count=1):
        """Wait until handlers have told of it so often; their processes."""
        self._wait_until(lambda: len(self._those(what, payload)) >= count, PATIENCE, f"does not tell of {what} {payload} {count} times")
        return self._those(what, payload)

    def _those(self, what, payload):
        return [call["pid"] for call in self.calls(what) if call["payload"] == payload]

    def all_told(self, what, payloads):
        time.sleep(0.1)  # there are many
        told = {json.dumps(call["payload"]) for call in self.calls(what)}
        return {json.dumps(payload) for payload in payloads} <= told

    def numbers(self):
        return self.ask("stats")["nodes"]["hendrix/hub"]


class Ear:
    """A subscriber at the control socket."""

    def __init__(self, site, pattern, since=None):
        self.events = []
        self._more = threading.Condition()
        self._client = Client(site.control, PATIENCE)
        answers = self._client._answers("subscribe", {"topic": pattern} if since is None else {"topic": pattern, "since": since})
        self.position = next(answers)["id"]
        self._thread = threading.Thread(target=self._hear, args=(answers,), daemon=True)
        self._thread.start()

    def _hear(self, answers):
        try:
            for event in answers:
                with self._more:
                    self.events.append(event)
                    self._more.notify_all()
        except (OSError, CommandError):
            pass  # it was closed

    def wait(self, count):
        with self._more:
            assert self._more.wait_for(lambda: len(self.events) >= count, PATIENCE), self.events[-3:]
            return [event.get("payload", event) for event in self.events]

    def close(self):
        if self._thread.is_alive():
            self._client._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._client.close()


@pytest.fixture(scope="module", params=[0, 2], ids=["alone", "workers"])
def site(request):
    with Joe(f"--workers={request.param}") as site:
        site.processes = request.param or 1
        yield site


@pytest.fixture
def ear(site):
    ears = []

    def listen(*arguments):
        ears.append(Ear(site, *arguments))
        return ears[-1]

    yield listen
    for each in ears:
        each.close()


alone = pytest.mark.parametrize("site", [0], indirect=True, ids=["alone"])
"""For what has nothing to do with workers."""


def test_each_door_reaches_a_subscriber(site, ear):
    listener = ear("doors.*")
    token = sign(SECRET, ["doors.*"], 600)
    site.view("publish", topic="doors.a", payload='"view"')
    site.view("thread", topic="doors.a", payload='"thread"')
    site.view("crosstown", topic="doors.a", payload='"crosstown"')
    publish("doors.a", "client", control=site.control)
    publish("doors.a", "http client", url=site.url, token=token)
    subprocess.run([HX, "publish", "doors.a", '"hx"', f"--control={site.control}"], check=True, timeout=PATIENCE)
    subprocess.run([HX, "publish", "doors.a", '"hx over http"', f"--url={site.url}", f"--token={token}"], check=True, timeout=PATIENCE)
    curl = [
        "curl",
        "-sS",
        "-f",
        "-H",
        f"Authorization: Bearer {token}",
        "-d",
        '{"by": "curl"}',
        f"{site.url}/.hendrix/publish?topic=doors.a",
    ]
    assert json.loads(subprocess.run(curl, check=True, timeout=PATIENCE, capture_output=True).stdout) == {"published": "doors.a"}
    heard = listener.wait(8)
    assert Counter(map(str, heard)) == Counter(
        ["view", "thread", "crosstown", "client", "http client", "hx", "hx over http", "{'by': 'curl'}"]
    )
    ids = [int(event["id"].split("-")[1]) for event in listener.events]
    assert ids == sorted(set(ids))


@alone
def test_a_script_with_nothing_but_the_standard_library_publishes(site, ear):
    listener = ear("script")
    script = (
        "import sys; from hendrix.client import publish; publish('script', 1, control=sys.argv[1])\n"
        "assert not [name for name in sys.modules if name.partition('.')[0] in ('twisted', 'zope', 'httptools', 'django')]"
    )
    subprocess.run([sys.executable, "-c", script, site.control], check=True, timeout=PATIENCE, cwd=ROOT)
    assert listener.wait(1) == [1]


@alone
def test_hey_joe_in_another_process_finds_the_control_socket(site, ear):
    listener = ear("other")
    script = "from hendrix import hey_joe; hey_joe.publish('other', {'from': 'elsewhere'})"
    env = {**os.environ, "HENDRIX_CONTROL": site.control}
    subprocess.run([sys.executable, "-c", script], check=True, timeout=PATIENCE, cwd=ROOT, env=env)
    assert listener.wait(1) == [{"from": "elsewhere"}]


@alone
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["publish", "a b", "1"], "'a b': a topic is levels of letters"),
        (["publish", "a", "{"], "{: it is not JSON"),
        (["publish", "a"], "give a topic and a payload"),
        (["publish", "a", "1", "--url={url}", "--token=x"], "the token is not one that was signed here"),
        (["publish", "a", "1", "--url=example.org"], "example.org: give the address of a site"),
        (["subscribe", "a..b"], "a pattern is a topic in which"),
        (["token", "a b"], "'a b': a pattern is a topic"),
    ],
)
def test_mistakes_are_one_line(site, words, reason):
    words = [word.replace("{url}", site.url) for word in words]
    given = [] if words[0] == "token" else [f"--control={site.control}"]
    done = subprocess.run(
        [HX, *words, *given], capture_output=True, text=True, timeout=PATIENCE, env={**os.environ, "HENDRIX_SECRET": SECRET}
    )
    assert done.returncode == 1 and done.stderr.startswith("hendrix: error: ") and reason in done.stderr
    assert done.stderr.count("\n") == 1


@alone
def test_hx_token_makes_a_token_for_the_server(site, ear):
    listener = ear("stock.*")
    env = {**os.environ, "HENDRIX_SECRET": SECRET}
    made = subprocess.run([HX, "token", "stock.*"], capture_output=True, text=True, check=True, timeout=PATIENCE, env=env)
    publish("stock.ACME", {"price": 42}, url=site.url, token=made.stdout.strip())
    assert listener.wait(1) == [{"price": 42}]
    with pytest.raises(CommandError, match=r"the token is not for chat\.lobby"):
        publish("chat.lobby", 1, url=site.url, token=made.stdout.strip())


def manage(site, *words, **more):
    env = {**os.environ, "HENDRIX_CONTROL": site.control, "HENDRIX_SECRET": SECRET}
    command = [sys.executable, "manage.py", *words]
    return subprocess.run(command, cwd=ROOT / "examples/django_site", env=env, capture_output=True, text=True, timeout=PATIENCE, **more)


@alone
def test_the_management_commands_of_django(site, ear):
    listener = ear("managed")
    manage(site, "hx_publish", "managed", '{"by": "manage.py"}', check=True)
    token = manage(site, "hx_token", "managed", check=True).stdout.strip()
    publish("managed", {"by": "its token"}, url=site.url, token=token)
    assert listener.wait(2) == [{"by": "manage.py"}, {"by": "its token"}]
    for words, reason in (
        (["hx_publish", "managed", "{"], "CommandError: {: it is not JSON"),
        (["hx_publish", "a b", "1"], "CommandError: 'a b': a topic is levels of letters"),
        (["hx_publish", "a", "1", "--control=/nowhere"], "CommandError: --control=/nowhere: no hendrix listens at /nowhere"),
        (["hx_token", "a b"], "CommandError: 'a b': a pattern is a topic"),
    ):
        done = manage(site, *words)
        assert done.returncode == 1 and done.stderr.startswith(reason), done.stderr


@alone
def test_hx_subscribe_prints_what_comes(site):
    command = [HX, "subscribe", "printed", f"--control={site.control}", "--since=x-0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as printing:
        assert json.loads(printing.stdout.readline()) == {"gap": "printed", "lost": None, "reason": "history"}
        site.view("publish", topic="printed", payload="[1]")
        assert json.loads(printing.stdout.readline())["payload"] == [1]
        printing.send_signal(signal.SIGINT)
    assert printing.returncode == 130


def test_what_many_publish_arrives_once_and_in_the_order_of_each(site, ear):
    count, publishers = 200, 6
    before = site.view("position")
    listener, each = ear("many.*"), ear("many.1")

    def by_command(number):
        with Client(site.control, PATIENCE) as client:
            for n in range(count):
                client.ask("publish", topic=f"many.{number}", payload=[number, n])

    def by_view(number):
        """On one connection, which is one process: two are two publishers."""
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE)
        for n in range(0, count, 10):
            payloads = [json.dumps([number, m]) for m in range(n, n + 10)]
            connection.request("GET", f"/publish?{urlencode({'topic': f'many.{number}', 'payload': payloads}, doseq=True)}")
            assert connection.getresponse().read() == b"null"
        connection.close()

    threads = [threading.Thread(target=(by_view, by_command)[number % 2], args=(number,)) for number in range(publishers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    heard = listener.wait(count * publishers)
    assert len(heard) == count * publishers
    for number in range(publishers):
        assert [n for who, n in heard if who == number] == list(range(count))
    assert each.wait(count) == [[1, n] for n in range(count)]
    assert all(event["id"] > before for event in listener.events[:1])


def test_views_ask_where_the_hub_stands_and_what_it_keeps(site, ear):
    before = site.view("position")
    site.view("publish", topic="kept.a", payload=["1", "2"])
    assert ear("kept.*", before).wait(2) == [1, 2]  # on its way, when the view returns: another worker may ask before it has come
    assert site.view("history", topic="kept.a") == [1, 2]
    listener = ear("present")
    assert site.view("presence", topic="present") == {"connections": 1, "who": []}
    listener.close()  # the control socket tells of it
    site._wait_until(lambda: site.view("presence", topic="present")["connections"] == 0, PATIENCE, "does not let go of its subscriber")


def test_an_event_is_handled_once_in_the_tree_or_in_each_process(site):
    site.view("publish", topic="each.a", payload='"x"')
    pids = site.told("each", "x", site.processes)
    assert len(set(pids)) == site.processes
    site.view("publish", topic="once.a", payload=['"fail"', *map(str, range(20))])
    for number in range(20):
        site.told("once", number)
    assert len(site.calls("once")) == len({str(call["payload"]) for call in site.calls("once")})
    site.wait_for_log("the task joe.once of the event")
    site.wait_for_log("RuntimeError: a string broke")


def test_each_message_of_a_queue_goes_to_one_process_and_what_comes_of_it_is_published(site):
    site.view("enqueue", payload=[str(number) for number in range(100, 140)])
    for number in range(100, 140):
        site.told("once", {"done": number})
    assert Counter(call["payload"] for call in site.calls("work")) == Counter(range(100, 140))


def test_a_view_that_would_wait_for_a_consumer_is_told_so(site):
    assert "cannot be waited for in a view" in site.view("wait")


def test_the_tree_and_the_numbers_show_the_hub(site, ear):
    listener = ear("shown.a")
    site.ask("publish", topic="shown.a", payload=1)
    listener.wait(1)
    tree = {node["name"]: node["line"] for node in site.ask("tree")["children"]}
    assert tree["hub"].startswith("memory, ") and tree["hub"].endswith(" subscribers")
    numbers = site.numbers()
    assert numbers["processes"] == (1 if site.processes == 1 else 3)
    assert numbers["published"] > 0


# What dies.


@pytest.fixture(scope="module")
def mortal():
    with Joe("--workers=2") as site:
        yield site


def test_a_worker_that_dies_loses_its_work_and_nothing_else(mortal):
    with contextlib.suppress(http.client.HTTPException, OSError):  # the process of the view may be the one that dies
        mortal.view("enqueue", payload='"die"')
    mortal.wait_for_log("the queue work has lost 1 messages: died")
    mortal.view("enqueue", payload=["1", "2", "3"])
    for number in (1, 2, 3):
        mortal.told("work", number)
    assert len(mortal._those("work", "die")) == 1
    mortal.told("lost", "died")


def test_the_hub_survives_its_workers_and_new_ones_take_their_place(mortal):
    listener = Ear(mortal, "alive")
    for round in range(3):
        mortal._wait_until(lambda: mortal.numbers()["processes"] == 3, PATIENCE, "does not have its workers")
        pid = serving(mortal, f"before {round}")[0]
        os.kill(pid, signal.SIGKILL)
        mortal._wait_until(lambda gone=pid: not os.path.exists(f"/proc/{gone}"), PATIENCE, "does not bury its worker")
        publish("alive", round, control=mortal.control)
    assert listener.wait(3) == [0, 1, 2]
    listener.close()


def serving(site, word):
    """The processes of both workers, once they have imported the application."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        publish("each.a", word, control=site.control)
        time.sleep(0.05)
        pids = {call["pid"] for call in site.calls("each") if call["payload"] == word}
        if len(pids) == 2:
            return list(pids)
    raise AssertionError(f"not both workers hear of {word}")


def test_a_reload_loses_no_message_of_a_queue(mortal):
    serving(mortal, "before the reload")
    stop = threading.Event()
    sent = []

    def enqueue():
        while not stop.is_set():
            sent.append(1000 + len(sent))
            mortal.view("enqueue", payload=str(sent[-1]))
            time.sleep(0.01)

    thread = threading.Thread(target=enqueue)
    thread.start()
    mortal.ask("reload")
    mortal.ask("reload")
    stop.set()
    thread.join()
    results = [{"done": number} for number in sent]
    mortal._wait_until(lambda: mortal.all_told("once", results), PATIENCE, "does not have all results")
    counts = Counter(call["payload"] for call in mortal.calls("work"))
    assert {number: counts[number] for number in sent} == dict.fromkeys(sent, 1)


def test_what_waits_in_a_queue_at_the_end_is_logged():
    with Joe() as site:
        site.view("enqueue", payload=["1", "2"], queue="nobody")
        site._wait_until(lambda: site.numbers()["queue_waiting"] == 2, PATIENCE, "does not have them")
        site.stop()
        assert "2 messages of the queue nobody were not handled: the process ends" in site.log


def test_outside_of_hendrix_one_is_told_what_to_do():
    script = "from hendrix import hey_joe; hey_joe.publish('a', 1)"
    env = {name: value for name, value in os.environ.items() if name != "HENDRIX_CONTROL"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE, env=env)
    assert "NoHub: there is no hub in this process" in done.stderr and "HENDRIX_CONTROL" in done.stderr
