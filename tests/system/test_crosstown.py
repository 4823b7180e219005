"""Crosstown traffic in real processes: no task starts before its client could read the last byte, and none is lost.

``CROSSTOWN_RESPONSES`` says how long the first tests are, ``CROSSTOWN_TASKS`` the last one: `make crosstown-soak`.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import random
import re
import signal
import threading
import time
from urllib.parse import quote

import pytest

from crossing_site import Crossing
from harness import CLEAN

RESPONSES = int(os.environ.get("CROSSTOWN_RESPONSES", "1000"))
TASKS = int(os.environ.get("CROSSTOWN_TASKS", "1500"))
TCP = "tcp:0:interface=127.0.0.1"


@pytest.fixture(scope="module")
def site(certificate, tmp_path_factory):
    """Plain tcp, TLS and a unix socket."""
    unix = tmp_path_factory.mktemp("unix") / "socket"
    tls = f"ssl:0:interface=127.0.0.1:privateKey={certificate.key}:certKey={certificate.cert}"
    with Crossing("--threads=4", listen=(TCP, tls, f"unix:{unix}")) as site:
        yield site


PLAIN, TLS, UNIX = range(3)
numbers = iter(range(1, 1 << 30))


# When.


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("address", [PLAIN, TLS], ids=["tcp", "tls"])
def test_no_task_starts_before_the_client_could_read_the_last_byte(site, address, stream):
    count = RESPONSES // 20
    failures = []

    def run(seed):
        rng = random.Random(seed)
        with site.client(next(numbers), address) as client:
            for _ in range(count):
                n = next(numbers)
                client.send(
                    n,
                    size=rng.choice((1, 10, 1000, 20_000, 150_000)),
                    stream=stream,
                    tasks=[{"options": {"same_thread": rng.random() < 0.3}}],
                )
                client.read()
                all_of_it, read_at = client.received(), time.monotonic()
                start = site.told("start", n)
                if start["readable"] < all_of_it:
                    failures.append((n, start["readable"], all_of_it, start["t"] - read_at))

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len({item["n"] for item in site.news("start")}) >= 4 * count


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_no_task_starts_early_on_a_unix_socket(site, stream):
    for size in (1, 1000, 50_000) * (RESPONSES // 60):
        n = next(numbers)
        with site.client(n, UNIX) as client:
            client.send(n, size=size, stream=stream)
            assert site.told("start", n)["readable"] >= size, "the client has read nothing yet: all must be there"
            client.read()


@pytest.mark.parametrize("same_thread", [False, True], ids=["crew", "same_thread"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("address", [PLAIN, TLS], ids=["tcp", "tls"])
@pytest.mark.parametrize("size", [400_000, 3_000_000], ids=["in the kernel", "in the process"])
def test_a_task_waits_for_a_slow_reader(site, address, stream, size, same_thread):
    n = next(numbers)
    with site.client(n, address, buffer=65536) as client:
        client.send(n, size=size, stream=stream, tasks=[{"options": {"same_thread": same_thread}}])
        data = client.file.read(100)
        assert data.startswith(b"HTTP/1.1 200")
        site.get("/?%7B%22tasks%22:[]%7D")  # others are served meanwhile
        assert not site.news("start", n)
        while len(data) < size and not site.news("start", n):
            data += client.some()
        start = site.told("start", n)
        assert size - len(data) < client.ahead(), "the rest had no room with the client: it had not been sent"
        head = data.index(b"\r\n\r\n") + 4
        while not (data.endswith(b"0\r\n\r\n") if stream else len(data) - head == size):
            data += client.some()
        assert start["readable"] >= client.received() > size


@pytest.mark.parametrize("address", [PLAIN, TLS], ids=["tcp", "tls"])
@pytest.mark.parametrize(
    "query",
    [
        {"method": "HEAD", "size": 5000},
        {"status": "304 Not Modified", "size": 0, "tasks": [{"options": {"no_go_status_codes": []}}]},
        {"status": "204 No Content", "size": 0},
        {"version": "1.0", "size": 30_000},
        {"version": "1.0", "size": 30_000, "stream": True},
        {"close": True, "size": 30_000},
        {"close": True, "size": 30_000, "stream": True},
    ],
    ids=lambda query: " ".join(f"{key}={value}" for key, value in query.items() if key != "tasks"),
)
def test_each_kind_of_response_has_its_tasks(site, address, query):
    n = next(numbers)
    query = {"tasks": [{"options": {"on_disconnect": "skip"}}], **query}
    with site.client(n, address) as client:
        client.send(n, **query)
        client.read(bare=query.get("method") == "HEAD")
        all_of_it = client.received() if address == PLAIN else 1
        start = site.told("start", n)
        assert start["readable"] >= all_of_it - 24  # of TLS and FIN
        assert len(site.news("start", n)) == 1


@pytest.mark.parametrize("address", [PLAIN, TLS], ids=["tcp", "tls"])
def test_pipelined_requests_have_their_tasks_each_once(site, address):
    with site.client(next(numbers), address) as client:
        ns = [next(numbers) for _ in range(20)]
        for n in ns:
            client.send(n, size=20_000, tasks=[{"options": {"same_thread": True}}])
        for _ in ns:
            client.read()
        for n in ns:
            site.told("end", n)
    starts = [item["n"] for item in site.news("start") if item["n"] in ns]
    assert sorted(starts) == ns, "the threads that served them may overtake each other"


@pytest.mark.parametrize("address", [PLAIN, TLS], ids=["by the kernel", "by TLS"])
def test_a_file_that_is_sent(site, tmp_path, address):
    (tmp_path / "file").write_bytes(b"x" * 2_000_000)
    n = next(numbers)
    with site.client(n, address, buffer=65536) as client:
        client.send(n, size=2_000_000, file=str(tmp_path / "file"))
        assert not site.news("start", n)
        client.read()
        assert site.told("start", n)["readable"] >= client.received()


def test_the_wire_timeout_starts_the_tasks_of_a_client_that_does_not_read(certificate):
    tls = f"ssl:0:interface=127.0.0.1:privateKey={certificate.key}:certKey={certificate.cert}"
    with Crossing("--threads=3", listen=(TCP, tls), env={"WIRE_TIMEOUT": "1"}) as site, contextlib.ExitStack() as stack:
        clients = {}
        for n, (address, same_thread) in enumerate([(PLAIN, False), (PLAIN, True), (TLS, False), (TLS, True)]):
            client = stack.enter_context(site.client(n, address))
            clients[n] = client, time.monotonic()
            client.send(n, size=6_000_000, tasks=[{"options": {"same_thread": same_thread}}])
        for n, (client, before) in clients.items():
            assert site.told("end", n) and site.told("start", n)["t"] - before >= 1
            assert len(client.read()[2]) == 6_000_000, "the response goes on"
        assert site.log.count("has not read for ") >= 4


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_slow_readers_of_responses_with_same_thread_tasks_do_not_take_all_threads(threads):
    with Crossing(f"--threads={threads}", listen=(TCP, TCP)) as site, contextlib.ExitStack() as stack:
        clients = []
        for n in range(1, 5):
            clients.append(client := stack.enter_context(site.client(n, buffer=65536)))
            client.send(n, size=6_000_000, tasks=[{"options": {"same_thread": True}}, {"options": {"same_thread": True}}])
            site.told("view", n)
        with site.client(100) as other:
            for n in range(100, 105):
                other.send(n)
                other.read()
                site.told("end", n)
        assert not any(site.news("start", n) for n in range(1, 5))
        assert site.log.count("too many threads wait for slow clients") == 4 - (threads - 1)
        served_by = [int(client.read()[1]["x-thread"]) for client in clients]
        for n in range(1, 5):
            site.told("end", n, 1)
            told = [(item["event"], item["task"]) for item in site.news(n=n) if item["event"] in ("start", "end")]
            assert told == [("start", 0), ("end", 0), ("start", 1), ("end", 1)]
        waited = [n for n in range(1, 5) if {item["thread"] for item in site.news("start", n)} == {served_by[n - 1]}]
        assert len(waited) >= max(1, threads - 1)


# Clients that leave.


@pytest.mark.parametrize("address", [PLAIN, TLS], ids=["tcp", "tls"])
@pytest.mark.parametrize("query", [{"size": 8_000_000}, {"size": 100_000, "stream": True, "endless": True}], ids=["whole", "streamed"])
def test_a_client_that_leaves_half_way(site, address, query):
    n = next(numbers)
    with site.client(None, address) as client:
        client.send(n, tasks=[{"options": {"on_disconnect": "skip"}}, {}], **query)
        assert client.file.read(1000)
    site.told("end", n, 1)
    assert not site.news("start", n, 0)
    site.wait_for_log(f"n%22%3A%20{n}%2C")
    assert re.search(rf"the client of GET \S*n%22%3A%20{n}%2C\S* left before", site.log)


# The gate.


@pytest.mark.parametrize("address", [PLAIN, TLS], ids=["tcp", "tls"])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"status": "200 OK"}, {0, 1, 2, 3, 4}),
        ({"status": "404 Not Found"}, {1, 3}),
        ({"status": "503 Service Unavailable"}, {1, 2}),
        ({"status": "302 Found"}, {0, 1, 2, 4}),
        ({"raises": "before"}, {1, 2}),
        ({"raises": "middle", "stream": True}, {1, 2}),
    ],
    ids=str,
)
def test_the_gate_sees_the_real_status(site, address, query, expected):
    n = next(numbers)
    codes = [["4xx", "5xx"], [], ["400-405"], ["5xx", 302], None]
    tasks = [{"options": {"no_go_status_codes": code}} for code in codes]
    with site.client(n, address) as client:
        client.send(n, tasks=tasks, **query)
        if query.get("raises") == "middle":
            with contextlib.suppress(OSError, ValueError, IndexError):
                client.read()
        else:
            client.read()
    for task in expected:
        site.told("end", n, task)
    m = next(numbers)
    with site.client(m, address) as client:  # whatever was queued before this has started by now
        client.send(m)
        client.read()
    site.told("end", m)
    assert {item["task"] for item in site.news("start", n)} == expected


# Threads.


@pytest.mark.parametrize("address", [PLAIN, TLS], ids=["tcp", "tls"])
def test_same_thread_tasks_run_on_the_serving_thread_one_after_another(site, address):
    n = next(numbers)
    with site.client(n, address) as client:
        client.send(n, tasks=[{"options": {"same_thread": True}}] * 3)
        serving = int(client.read()[1]["x-thread"])
    site.told("end", n, 2)
    mine = [item for item in site.news(n=n) if item["event"] in ("start", "end")]
    assert [(item["event"], item["task"]) for item in mine] == [(event, task) for task in range(3) for event in ("start", "end")]
    assert {item["thread"] for item in mine} == {serving}


@pytest.mark.parametrize("address", [PLAIN, TLS], ids=["tcp", "tls"])
def test_the_next_request_is_not_delayed_by_a_task(site, address):
    first, second = next(numbers), next(numbers)
    with site.client(first, address) as client:
        client.send(first, tasks=[{"wait": f"go {first}"}])
        client.read()
        site.told("start", first)
        client.send(second, tasks=[])
        client.read()
        assert not site.news("end", first)
        site.open(f"go {first}")
        site.told("end", first)


def test_no_context_leaks_into_the_next_request(site):
    numbers_of = [next(numbers) for _ in range(30)]
    with site.client(numbers_of[0]) as client:
        for n in numbers_of:
            client.send(n, tasks=[{"options": {"same_thread": True}}, {}])
            client.read()
            site.told("end", n, 0)
            site.told("end", n, 1)
    for n in numbers_of:
        assert {item["mark"] for item in site.news("start", n)} == {n}


def test_tasks_of_every_origin_follow_their_own_response(site):
    by_hand, nested, streamed, copied, closing = (next(numbers) for _ in range(5))
    with site.client(next(numbers)) as client:
        client.send(by_hand, tasks=[], by_hand=True)
        client.read()
        site.told("end", by_hand, 1)
        client.send(nested, tasks=[{"inner": {}}])
        client.read()
        assert site.told("start", nested, 100)["t"] >= site.told("end", nested, 0)["t"]
        client.send(streamed, size=30, stream=True, late=True)
        client.read()
        for task in range(3):
            assert site.told("start", streamed, task)["t"] > site.told("closed", streamed)["t"]
        client.send(copied, tasks=[], copied=True)
        client.read()
        client.send(closing, tasks=[], stream=True, closing=True)
        client.read()
        site.told("end", closing, 50)
        site.open(f"copied {copied}")
        site.told("end", copied, 0)
    assert {item["mark"] for n in (by_hand, nested, streamed, copied, closing) for item in site.news("start", n)} == {
        by_hand, nested, streamed, copied, closing,
    }  # fmt: skip


def test_tasks_take_their_share_of_the_crew_and_requests_are_served_meanwhile():
    with Crossing("--threads=4", "--crosstown-threads=2") as site, site.client(1) as client:
        for n in range(1, 6):
            client.send(n, tasks=[{"wait": "go"}])
            client.read()
        site.told("start", count=2)
        for n in range(100, 120):
            client.send(n, tasks=[])
            client.read()
        assert len(site.news("start")) == 2
        site.open("go")
        site.told("end", count=5)
        running = 0
        for item in site.news():
            running += {"start": 1, "end": -1}.get(item["event"], 0)
            assert running <= 2
        assert sorted(item["n"] for item in site.news("start")) == [1, 2, 3, 4, 5]  # two threads may overtake each other in telling


def test_when_the_queue_is_full_tasks_run_on_the_thread_that_brings_them_and_none_is_dropped():
    with Crossing("--threads=3", "--crosstown-threads=1", env={"QUEUE": "2"}) as site, site.client(1) as client:
        client.send(1, tasks=[{"wait": "go"}])
        client.read()
        site.told("start", 1)
        client.send(2, tasks=[{}] * 5)
        client.read()
        for task in (2, 3, 4):
            site.told("end", 2, task)
        assert not site.news("start", 2, 0) and not site.news("start", 2, 1)
        assert site.log.count("2 tasks wait for a thread: task 2.") == 3
        site.open("go")
        site.told("end", count=6)
        assert sorted((item["n"], item["task"]) for item in site.news("start")) == [(1, 0), *((2, task) for task in range(5))]


def test_a_task_that_raises_is_logged_with_its_request_and_a_slow_one_with_its_stack(site):
    n = next(numbers)
    with site.client(n) as client:
        client.send(n, tasks=[{"raises": f"broken {n}"}, {"wait": f"go {n}", "options": {"timeout_warning": 0.1}}])
        client.read()
        site.wait_for_log(f"LookupError: broken {n}")
        assert re.search(rf"the task task {n}\.0\. of GET /\?\S+ \(id [0-9a-f]{{16}}\) failed", site.log)
        site.wait_for_log(f"the task task {n}.1. of")
        assert site.told("on_error", n)["error"] == f"broken {n}"
        assert "is slow; it is here" in site.log and "in crossing" in site.log
        site.open(f"go {n}")
        site.told("end", n, 1)


@pytest.mark.parametrize("trusts", [False, True], ids=["no proxy", "trusted proxy"])
def test_a_request_has_one_id_in_its_view_its_tasks_and_the_log(trusts):
    given = ["from-the-proxy.1", "x" * 128, "two words", "x" * 129, "", None]
    with Crossing("--threads=2", *(["--trusted-proxy=127.0.0.1"] * trusts)) as site:
        ids = []
        for n, value in enumerate(given, 1):
            query = quote(json.dumps({"n": n, "tasks": [{"raises": f"broken {n}"}, {}, {"options": {"same_thread": True}}]}))
            site.get(f"/?{query}", {"X-Request-ID": value} if value is not None else {})
            for task in (1, 2):
                site.told("end", n, task)
            ids.append(site.told("view", n)["id"])
            assert {item["id"] for item in site.news("start", n)} == {ids[-1]}
            site.wait_for_log(f"(id {ids[-1]}) failed")
        believed = 2 if trusts else 0
        assert ids[:believed] == given[:believed]
        assert all(re.fullmatch("[0-9a-f]{16}", one) for one in ids[believed:]) and len(set(ids)) == len(ids)


# The end.


def test_a_process_that_is_stopped_runs_its_tasks_first():
    with Crossing("--threads=2") as site, site.client(1) as client:
        for n in range(1, 6):
            client.send(n, tasks=[{"wait": "go"}])
            client.read()
        site.told("start", 1)
        os.kill(site.pid, signal.SIGTERM)
        site.wait_for_log("waiting for crosstown tasks")
        site.open("go")
        assert site.wait() in CLEAN
        assert sorted(item["n"] for item in site.news("end")) == [1, 2, 3, 4, 5]
        assert "was not run" not in site.log


def test_what_cannot_be_run_within_the_grace_is_logged_by_name():
    with Crossing("--threads=2", "--crosstown-grace=0.3") as site, site.client(1) as client:
        for n in range(1, 4):
            client.send(n, tasks=[{"wait": "never"}])
            client.read()
        site.told("start", 1)
        assert site.stop() in CLEAN
        assert len(site.news("start")) == 1
        assert "the task task 1.0. of GET" in site.log and "was cut" in site.log
        for n in (2, 3):
            assert re.search(rf"the task task {n}\.0\. of GET \S+ was not run", site.log)


def test_under_load_with_failures_disconnects_and_a_signal_each_task_runs_once_or_is_named(tmp_path):
    count, clients = tmp_path / "ran", 6
    count.touch()
    sent, lock = collections.Counter(), threading.Lock()
    with Crossing("--threads=4", "--crosstown-grace=20") as site:

        def load(seed):
            rng = random.Random(seed)
            while len(sent) < TASKS:
                try:
                    with site.client(None) as client:
                        for _ in range(20):
                            with lock:
                                n = next(numbers)
                            tasks = [{"count": str(count), "options": {"no_go_status_codes": []}} for _ in range(rng.randrange(1, 5))]
                            if rng.random() < 0.2:
                                tasks[0]["options"]["same_thread"] = True
                            status = "200 OK" if rng.random() < 0.8 else "503 Service Unavailable"
                            client.send(n, size=rng.choice((10, 100_000)), status=status, stream=rng.random() < 0.3, tasks=tasks)
                            if rng.random() < 0.1:
                                break  # leaves without reading
                            client.read()
                            with lock:
                                sent.update(f"{n}.{index}" for index in range(len(tasks)))
                except (OSError, IndexError, ValueError, AssertionError):
                    return  # the process is going

        threads = [threading.Thread(target=load, args=(seed,)) for seed in range(clients)]
        for thread in threads:
            thread.start()
        while len(sent) < TASKS * 0.8 and any(thread.is_alive() for thread in threads):
            time.sleep(0.01)
        assert site.stop() in CLEAN
        for thread in threads:
            thread.join(90)
        log = site.log
        views = {item["n"] for item in site.news("view")}
    ran = collections.Counter(count.read_text().split())
    assert max(ran.values()) == 1
    lost = [name for name in sent if name not in ran and f"the task task {name}. of" not in log]
    assert not lost
    assert len(sent) > TASKS // 2 and len(views) > TASKS // 5
    assert "bug in hendrix" not in log


def test_tasks_that_wait_in_line_keep_no_request_out():
    with Crossing("--threads=2", "--backlog=20", listen=(TCP,)) as site, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(site.client(None)) for _ in range(15)]
        for _ in range(20):
            for number, client in enumerate(clients):
                client.send(1000 + number, size=10)
            assert {client.read()[0] for client in clients} == {200}
        site.told("end", count=300)
