"""``/metrics`` of real processes: what it counts is what clients have had, through reloads, recycling and deaths."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from pressure import Wire, connect, endpoints, eventually, get, post
from scrape import STATUS, Samples, Scraper, went_back
from sockets import Client

from certificates import Certificate
from harness import Site
from redis_server import RedisServer, missing

ECHO = b"x" * 1000


class Load:
    """Clients that ask one thing after another and count the answers, from `__enter__` to `__exit__`.

    :ivar answers: by method, path and status.
    """

    def __init__(self, site: Site, clients: int) -> None:
        self._site = site
        self.answers: Counter[tuple[str, str, int]] = Counter()
        self._counting = threading.Lock()
        self._errors: list[BaseException] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._live, args=(number,), daemon=True) for number in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)
        if kind is None:
            assert not self._errors, self._errors

    def _live(self, number: int) -> None:
        try:
            while not self._over.is_set():
                with connect(self._site) as wire:
                    self._converse(wire, number)
        except BaseException as error:
            self._errors.append(error)

    def _converse(self, wire: Wire, number: int) -> None:
        for turn in range(50):
            if self._over.is_set():
                return
            method, path = [("GET", f"/hello/{number}"), ("POST", "/echo"), ("GET", "/broken"), ("GET", "/nowhere")][(turn + number) % 4]
            wire.send(post(path, ECHO) if method == "POST" else get(path))
            answer = wire.answer()
            with self._counting:
                self.answers[method, path.partition("/hello/")[1] or path, answer.status] += 1
            if answer.closes:
                return
            time.sleep(0.002)

    def more(self, count: int = 100) -> None:
        """Wait until so many more have been answered."""
        before = self.answers.total()
        eventually(lambda: self.answers.total() > before + count or bool(self._errors), "nobody is answered")
        assert not self._errors, self._errors


class Watch:
    """Scrapes all the time, and notes what has gone back."""

    def __init__(self, scraper: Scraper) -> None:
        self._scraper, self._over = scraper, threading.Event()
        self.bad: list[str] = []
        self.times = 0
        self._thread = threading.Thread(target=self._live, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(60)

    def _live(self) -> None:
        before: Samples = {}
        while not self._over.wait(0.1):
            after = self._scraper.samples()
            self.bad += went_back(before, after)
            before = after
            self.times += 1


def test_the_sum_over_workers_is_what_the_clients_have_had_through_reloads() -> None:
    with Site("counted:app", "--workers=2", "--max-requests=300", STATUS) as site:
        scraper = Scraper(site)
        with Watch(scraper) as watch, Load(site, 4) as load:
            for number in range(3):
                load.more()
                os.kill(site.pid, signal.SIGHUP)
                eventually(lambda number=number: site.log.count("reloaded: ") > number, "it does not reload")  # type: ignore[misc]
            load.more()
        answers = load.answers
        eventually(lambda: scraper.sum("requests_total") >= answers.total(), "not all is counted")
        assert scraper.sum("requests_total") == scraper.sum("request_seconds_count") == answers.total()
        assert {status for _, _, status in answers} == {200, 404, 500}
        for (method, path, status), count in answers.items():
            route = {"/hello/": "/hello/<name>", "/nowhere": ""}.get(path, path)
            assert scraper.sum("requests_total", method=method, status=status, route=route) == count, path
        assert scraper.sum("request_content_bytes_total") == answers["POST", "/echo", 200] * len(ECHO)
        assert scraper.sum("response_content_bytes_total") > answers["POST", "/echo", 200] * len(ECHO)
        assert watch.times > 3 and not watch.bad
        assert scraper.sum("worker_deaths_total") == 0 and scraper.sum("worker_starts_total") >= 8
        eventually(lambda: scraper.sum("workers_draining") == 0, "the old ones do not leave")


def test_what_a_killed_worker_had_reported_stays() -> None:
    with Site("counted:app", "--workers=1", STATUS) as site:
        scraper = Scraper(site)
        for _ in range(5):
            assert site.get("/hello/you").status == 200
        eventually(lambda: scraper.sum("requests_total") == 5, "they are not counted")
        before, victim = scraper.samples(), site.children[0]
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: scraper.sum("worker_deaths_total") == 1, "its death is not seen")
        eventually(lambda: scraper.sum("workers_serving") == 1, "it is not replaced")
        assert not went_back(before, scraper.samples())
        assert site.get("/hello/you").status == 200
        eventually(lambda: scraper.sum("requests_total", route="/hello/<name>") == 6, "the new one is not counted with the old")
        assert scraper.sum("worker_starts_total") == 2


@pytest.mark.parametrize("workers", [0, 1])
def test_what_is_going_on_can_be_seen(tmp_path: Path, certificate: Certificate, workers: int) -> None:
    name = "worker 1" if workers else "main"
    options = (f"--workers={workers}", "--threads=2", "--sibling=echo:endpoint=tcp\\:0\\:interface=127.0.0.1", STATUS)
    with Site("counted:app", *options, listen=endpoints(tmp_path, certificate)) as site:
        scraper = Scraper(site)
        with connect(site, "tcp") as one, connect(site, "tls") as other, connect(site, "tls") as third:
            files = [tmp_path / "one", tmp_path / "other"]
            for wire, here in zip((one, other), files):
                wire.send(get(f"/slow?here={here}"))
                eventually(here.exists, "it does not reach the application")
            third.send(get(f"/slow?here={tmp_path / 'third'}"))
            eventually(lambda: scraper.sum("crew_oldest_seconds", process=name) > 0.01, "nobody waits")
            eventually(lambda: scraper.sum("crew_backlog", process=name) == 1, "nobody waits")
            assert scraper.sum("requests_in_application", process=name) == scraper.sum("crew_busy", process=name) == 2
            assert scraper.sum("crew_threads", process=name) == 2
            eventually(lambda: scraper.sum("tls_connections", process=name) == 2, "the connections are not seen")
            assert scraper.sum("http_connections", process=name, lane="reactor") == 2
            assert scraper.sum("http_connections", process=name, lane="fast") == 1
            for here in files:
                here.unlink()
            eventually((tmp_path / "third").exists, "the third is not begun")
            (tmp_path / "third").unlink()
            assert [wire.answer().status for wire in (one, other, third)] == [200, 200, 200]
        eventually(lambda: scraper.sum("requests_total", route="/slow") == 3, "they are not counted")
        assert scraper.sum("request_wait_seconds_sum") > 0.01
        assert scraper.sum("resident_memory_bytes", process=name) > 1 << 20 and scraper.sum("cpu_seconds_total") > 0
        assert scraper.sum("sibling_restarts_total", sibling="echo") == 0
        assert ("hendrix_sibling_restarts_total", frozenset({("sibling", "echo")})) in scraper.samples()


def test_tasks_are_counted_by_their_names() -> None:
    with Site("counted:app", "--workers=2", STATUS) as site:
        scraper = Scraper(site)
        for code in (200, 200, 404):
            assert site.get(f"/tasks/{code}").status == code
        expected = {("mail", "done"): 2, ("mail", "no-go"): 1, ("bad", "failed"): 3}

        def counted() -> dict[tuple[str, str], float]:
            names = {key: f"tasks.<locals>.{key[0]}" for key in expected}
            return {key: scraper.sum("crosstown_tasks_total", task=name, state=key[1]) for key, name in names.items()}

        eventually(lambda: counted() == expected, "they are not counted so")
        assert scraper.sum("crosstown_start_seconds_count") == scraper.sum("crosstown_run_seconds_count") == 5


def test_refused_requests_are_answers_too() -> None:
    with Site("counted:app", STATUS) as site:
        scraper = Scraper(site)
        with connect(site) as wire:
            wire.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            assert wire.answer().status == 400
        assert scraper.sum("requests_total", status=400, route="") == 1
        assert scraper.get()[1].startswith("text/plain; version=0.0.4")
        assert scraper.sum("request_seconds_count") == 0, "it never reached the application"


def test_without_the_library_the_answer_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "prometheus_client.py").write_text("raise ImportError('not here')\n")
    with Site("hello:app", STATUS, env={"PYTHONPATH": str(tmp_path)}) as site:
        status, _, text = Scraper(site).get()
        assert (status, text) == (501, "/metrics needs prometheus-client: pip install 'hendrix[metrics]'\n")
        assert site.get("/").status == 200


def test_websockets_are_seen_while_they_last(tmp_path: Path) -> None:
    with Site("realtime:app", "--workers=1", STATUS) as site:
        scraper = Scraper(site)
        with Client(site, "/echo") as client:
            eventually(lambda: scraper.sum("requests_total", status=101) == 1, "it is not counted")
            eventually(lambda: scraper.sum("realtime_connections", process="worker 1", kind="WebSocket") == 1, "it is not seen")
            client.send("hello")
            assert client.receive() == "hello"
        eventually(lambda: scraper.sum("realtime_connections") == 0, "it is not seen to go")
        assert scraper.sum("requests_total") == 1


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_the_broker_is_seen(tmp_path: Path) -> None:
    with RedisServer() as server, Site("counted:app", "--workers=1", f"--broker={server.url}", STATUS) as site:
        scraper = Scraper(site)
        eventually(lambda: scraper.sum("broker_connected") == 1, "it is not reached")
        eventually(lambda: scraper.sum("broker_lag_seconds") > 0, "it is not asked")
        assert not [key for key in scraper.samples() if key[0] == "hendrix_node" and "broker" in str(key)], "each has a family of its own"
