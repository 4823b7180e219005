"""``--opentelemetry``: spans of real processes, kept by the SDK in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pressure import connect, endpoints, eventually, get

from certificates import Certificate
from harness import Site

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
ON = "--opentelemetry"

Span = dict[str, Any]


class Spans:
    """Those of one trace, by name."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def get(self, *names: str, trace: str = TRACE) -> list[Span]:
        """When all of them have ended."""
        found: dict[str, Span] = {}

        def there() -> bool:
            spans: list[Span] = json.loads(self._site.get("/spans").body)
            found.clear()
            found.update({span["name"]: span for span in spans if span["trace"] == trace})
            return set(names) <= set(found)

        eventually(there, f"there are no such spans: {names}; {sorted(found)}")
        return [found[name] for name in names]


@pytest.mark.parametrize("place", ["tcp", "tls"])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_request_is_part_of_the_trace_of_its_caller(tmp_path: Path, certificate: Certificate, place: str, workers: int) -> None:
    with Site("traced:app", ON, f"--workers={workers}", listen=endpoints(tmp_path, certificate)) as site:
        with connect(site, place) as wire:
            wire.send(get("/onward/7?x=1", f"traceparent: {TRACEPARENT['traceparent']}", "User-Agent: me"))
            onward = json.loads(wire.answer().body)
        request, wait, inside = Spans(site).get("GET /onward/<name>", "wait for a thread", "application")
        assert (request["parent"], request["kind"]) == (CALLER, "SERVER")
        assert wait["parent"] == inside["parent"] == request["id"]
        assert onward["traceparent"] == f"00-{TRACE}-{inside['id']}-01", "it is passed on"
        assert request["start"] == wait["start"] <= wait["end"] == inside["start"] <= inside["end"] <= request["end"]
        about = request["attributes"]
        assert (about["http.request.method"], about["http.route"], about["http.response.status_code"]) == ("GET", "/onward/<name>", 200)
        assert (about["url.path"], about["url.query"], about["url.scheme"]) == ("/onward/7", "x=1", "https" if place == "tls" else "http")
        assert (about["client.address"], about["user_agent.original"]) == ("127.0.0.1", "me")
        assert request["status"] == "UNSET"


def test_tasks_belong_to_the_application_that_asked_for_them() -> None:
    with Site("traced:app", ON) as site:
        assert site.get("/tasks", TRACEPARENT).status == 200
        inside, mail, smtp, bad, by_hand = Spans(site).get("application", "task mail", "smtp", "task bad", "task by_hand")
        assert mail["parent"] == bad["parent"] == by_hand["parent"] == inside["id"]
        assert smtp["parent"] == mail["id"], "what a task records is within it"
        assert mail["start"] >= inside["end"] and mail["attributes"]["hendrix.start_delay"] >= 0
        assert (mail["status"], bad["status"], bad["events"]) == ("UNSET", "ERROR", ["exception"])


def test_what_fails_is_marked() -> None:
    with Site("traced:raising", ON) as site:
        assert site.get("/raise", TRACEPARENT).status == 500
        request, inside = Spans(site).get("GET", "application")
        assert (request["status"], inside["status"], inside["events"]) == ("ERROR", "ERROR", ["exception"])
        other = TRACE[::-1]
        assert site.get("/broken", {"traceparent": f"00-{other}-{CALLER}-01"}).status == 500
        request, inside = Spans(site).get("GET /broken", "application", trace=other)
        assert (request["status"], inside["status"]) == ("ERROR", "UNSET"), "Flask has made an answer of it"


def test_without_a_caller_each_request_is_a_trace_of_its_own() -> None:
    with Site("traced:app", ON) as site:
        for fields in ({}, {}, {"traceparent": "nonsense"}):
            site.get("/onward/7", fields)
        spans: list[Span] = json.loads(site.get("/spans").body)
        own = [span for span in spans if span["name"] == "GET /onward/<name>"]
        assert len(own) == len({span["trace"] for span in own}) == 3 and not any(span["parent"] for span in own)


@pytest.mark.parametrize("workers", [0, 1])
def test_the_last_spans_are_sent_before_the_process_ends(tmp_path: Path, workers: int) -> None:
    file = tmp_path / "spans"
    with Site("traced:app", ON, f"--workers={workers}", env={"TRACED_FILE": str(file)}) as site:
        site.get("/onward/7")
        assert file.read_text() == "", "they wait for more"
    assert "GET /onward/<name>" in file.read_text().splitlines()


def test_without_an_sdk_traces_are_passed_on() -> None:
    with Site("traced:app", ON, env={"NO_SDK": "1"}) as site:
        assert json.loads(site.get("/onward/7", TRACEPARENT).body) == TRACEPARENT
        assert json.loads(site.get("/modules").body)
        assert site.get("/tasks", TRACEPARENT).status == 200


def test_without_the_option_nothing_is_imported() -> None:
    with Site("traced:app", env={"NO_SDK": "1"}) as site:
        assert json.loads(site.get("/modules").body) == []


def test_without_the_library_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry/__init__.py").write_text("")
    for workers in (0, 1):
        code, said = Site("hello:app", ON, f"--workers={workers}", env={"PYTHONPATH": str(tmp_path)}).run()
        assert code == 1 and "pip install 'hendrix[opentelemetry]'" in said and "Traceback" not in said
        assert [line for line in said.splitlines() if "--opentelemetry" in line]
