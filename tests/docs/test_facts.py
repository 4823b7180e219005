"""What the pages state about the code is what the code states about itself."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import re
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from pages import ARCHITECTURE, OURS, ROOT, Page, page

import hendrix
from hendrix import cli, crosstown_traffic, deploy, hey_joe, testing
from hendrix.access.formats import ATOMS, FIELDS
from hendrix.metrics.families import FAMILIES
from hendrix.options import TABLE, flag
from hendrix.status.log_lines import Said
from hendrix.wire.fields import FORWARDED

PACKAGE = ROOT / "hendrix"


def load(path: Path) -> ModuleType:
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_of_options_are_those_of_the_code() -> None:
    generate = load(ROOT / "docs/generate.py")
    text = page("options.md").text
    assert text == generate.options_page(text), "make docs writes them anew"


def test_the_table_of_metrics_is_that_of_the_code() -> None:
    generate = load(ROOT / "docs/generate.py")
    text = page("metrics.md").text
    assert text == generate.metrics_page(text), "make docs writes it anew"


def names_of_metrics(text: str) -> set[str]:
    return set(re.findall(r"\bhendrix_[a-z_]+", text))


def test_each_metric_that_is_named_exists() -> None:
    known = {family.full_name for family in FAMILIES}
    known |= {f"{family.full_name}_{part}" for family in FAMILIES if family.kind == "histogram" for part in ("bucket", "sum", "count")}
    assert names_of_metrics(page("metrics.md").text) <= known


def test_the_dashboard_is_valid_and_shows_what_exists() -> None:
    dashboard = load(ROOT / "docs/dashboard.py")
    text = (ROOT / "docs/metrics/grafana.json").read_text(encoding="utf-8")
    assert text == dashboard.text(), "make docs writes it anew"
    board = json.loads(text)
    charts = [one for one in board["panels"] if one["type"] != "row"]
    assert len({one["id"] for one in board["panels"]}) == len(board["panels"]) and all(one["targets"] for one in charts)
    shown = set()
    for query in (target["expr"] for one in charts for target in one["targets"]):
        assert all(query.count(left) == query.count(right) for left, right in ("()", "{}", "[]")), query
        (name,) = {name.removesuffix("_bucket") for name in names_of_metrics(query)} - {"hendrix_crew_threads"}
        shown.add(name)
        family = next(family for family in FAMILIES if family.full_name == name)
        labels = {label.strip() for labels in re.findall(r"by \(([^)]*)\)", query) for label in labels.split(",")} - {""}
        assert labels <= {*family.labels, "le", "instance"} and ("le" in labels) == (family.kind == "histogram"), query
        assert ("rate(" in query or "increase(" in query) == (family.kind != "gauge"), query
    left_out = {"hendrix_node", "hendrix_uptime_seconds", "hendrix_info", "hendrix_hub_processes", "hendrix_hub_kept_messages"}
    left_out |= {"hendrix_hub_kept_characters", "hendrix_hub_queues", "hendrix_crew_threads", "hendrix_broker_connected"}
    left_out |= {"hendrix_broker_misunderstood_total"}
    assert shown | left_out == {family.full_name for family in FAMILIES}


def test_every_option_is_documented_once_and_no_other() -> None:
    rows = re.findall(r"^\| `(--[a-z-]+)=?", page("options.md").text, re.MULTILINE)
    assert sorted(rows) == sorted([*map(flag, TABLE), "--help", "--version"])


def test_the_fields_of_the_access_log_are_those_of_the_code() -> None:
    text = page("logs.md").text
    assert "".join(f"| `{name}` | {words} |\n" for name, words in FIELDS.items()) in text
    example = next(block.text for block in page("logs.md").blocks if block.language == "json" and '"target"' in block.text)
    assert sorted(json.loads(example)) == sorted(FIELDS)


def test_the_atoms_of_the_access_log_are_those_of_the_code() -> None:
    rows = page("logs.md").text.partition("| atom | value |")[2].partition("\n\n")[0]
    assert set(re.findall(r"%\(([A-Za-z])\)s", rows)) == set(ATOMS)


def test_the_keys_of_the_log_are_those_of_the_code() -> None:
    text = page("logs.md").text.partition("### Its form")[2].partition("###")[0]
    rows = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", text, re.MULTILINE))))
    assert rows == {field.name for field in dataclasses.fields(Said)} | {"time", "pid"}


def test_the_statuses_are_those_that_the_code_answers() -> None:
    answered = {500}
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name == "hey_joe" and path.stem in ("door", "message", "tokens", "topics"):
            continue  # pubsub.md has the answers to who publishes over HTTP
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if name in ("PeerError", "_refuse"):
                    answered.add(node.args[0].value)
    assert [cell[:3] for cell in page("limits.md").column("# Limits and refusals")] == [str(status) for status in sorted(answered)]


@pytest.mark.parametrize(
    ("where", "words", "module", "name", "value"),
    [
        ("limits.md", "| target | 16384 bytes |", "wire.http1", "MAX_TARGET", 16384),
        ("limits.md", "| fields of a request | 128 |", "wire.fields", "MAX_FIELDS", 128),
        ("limits.md", "chunk framing of more than 16384 bytes", "wire.chunked", "MAX_FRAMING", 16384),
        ("limits.md", "and 64 for each byte of content", "wire.chunked", "FRAMING_RATIO", 64),
        ("limits.md", "| trailers | 128, and 16384 bytes |", "wire.chunked", "MAX_FRAMING", 16384),
        ("limits.md", "up to 512 KiB in memory", "wsgi.body", "IN_MEMORY", 512 * 1024),
        ("limits.md", "ahead of its client | 256 KiB |", "channel.fast_connection", "HIGH_WATER", 256 * 1024),
        ("limits.md", "a refused client to read the answer | none | 5 |", "channel.site", "LINGER", 5),
        ("limits.md", "The clock is looked at once a second", "channel.web", "SWEEP", 1),
        ("endpoints.md", "completes up to 1024 connections", "channel.sockets", "KERNEL_BACKLOG", 1024),
        ("control.md", "of more than 1048576 bytes", "wire.lines", "LIMIT", 1 << 20),
        ("control.md", "Up to 64 clients", "control.service", "CLIENTS", 64),
        ("deploying.md", "a second later: the process does not wait", "channel.crew_service", "PATIENCE", 1),
        ("logs.md", "Lines are written twice a second", "status.service", "INTERVAL", 0.5),
        ("logs.md", "Up to 65536 wait", "status.access_log", "LIMIT", 65536),
        ("logs.md", "or 64 MiB of those with large heads", "status.access_log", "MOST", 64 << 20),
        ("logs.md", "more than a second after the application had ended", "channel.noted", "SLOW", 1),
        ("performance.md", "2 ms, a monitor lets another one in", "threads.monitor", "STUCK", 0.002),
        ("crosstown_traffic.md", "has not read for 30 seconds", "channel.response", "WIRE_TIMEOUT", 30),
        ("crosstown_traffic.md", "Up to 10000 tasks wait", "crosstown.dispatcher", "QUEUE", 10000),
        ("crosstown_traffic.md", "32 calls of one", "crosstown.gather", "LIMIT", 32),
        ("websockets.md", "While 16 messages wait for their", "hey_joe.connection", "MOST_WAITING", 16),
        ("websockets.md", "when more than a mebibyte waits for the client", "hey_joe.connection", "MOST_UNSENT", 1 << 20),
        ("websockets.md", "it each 10 seconds", "hey_joe.connection", "PATIENCE", 10),
        ("websockets.md", "each counts for 16 bytes at least", "wire.websocket", "LEAST", 16),
        ("websockets.md", "4008 is taken", "hey_joe.connection", "TOO_SLOW", 4008),
        ("websockets.md", "| 1000, and 1 MiB of them;", "hey_joe.inbox", "MESSAGES", 1000),
        ("../ARCHITECTURE.md", "Above 16 messages it is not read", "hey_joe.connection", "MOST_WAITING", 16),
        ("../ARCHITECTURE.md", "in order, for 5 ms at most", "hey_joe.connection", "TURN", 0.005),
        ("../ARCHITECTURE.md", "After 5 ms with", "channel.fast_connection", "TURN", 0.005),
        ("../ARCHITECTURE.md", "wait up to 1 ms", "threads.crew", "HOLD", 0.001),
        ("../ARCHITECTURE.md", "Each 5 ms the worker", "threads.crew", "LOOK", 0.005),
        ("../ARCHITECTURE.md", "Up to 16 requests of a connection wait", "channel.reactor_lane", "PIPELINED", 16),
    ],
)
def test_numbers_are_those_of_the_code(where: str, words: str, module: str, name: str, value: object) -> None:
    assert words in page(where).text
    assert getattr(import_module(f"hendrix.{module}"), name) == value


def test_default_times_are_those_of_the_options() -> None:
    rows = re.findall(r"\| `--([a-z-]+)` \| (\d+) \|", page("limits.md").text)
    assert len(rows) == 4
    for name, seconds in rows:
        assert TABLE[name.replace("-", "_")].default == seconds


def test_the_fields_that_only_a_proxy_may_set_are_all_named() -> None:
    text = page("proxy.md").prose.upper().replace("-", "_")
    named = {f"HTTP_{name}" for name in re.findall(r"`(FORWARDED|X_FORWARDED_[A-Z]+|X_REAL_IP)`", text)}
    assert named == FORWARDED


def test_the_reference_has_each_public_name() -> None:
    text = page("api.md").text
    named = set(re.findall(r"^.. auto\w+:: (\S+)$", text, re.MULTILINE))
    for module in (hendrix, hey_joe, testing):
        parts = {"errors", "hey_joe", "testing"} if module is hendrix else set()
        assert {f"{module.__name__}.{name}" for name in {*module.__all__} - parts} <= named
    assert {"hendrix.client", "hendrix.errors"} <= named


@pytest.mark.parametrize("each", OURS, ids=str)
def test_what_is_called_of_hey_joe_is_there(each: Page) -> None:
    called = set(re.findall(r"(?<![.\w])hey_joe\.(\w+)", each.prose)) - {"js", "d"}  # files: hey_joe.js, hey_joe.d.ts
    assert called <= {*hey_joe.__all__}


def test_what_others_had_is_here_by_the_names_that_are_said() -> None:
    """Arguments and metrics that the tables name; options are looked at in test_pages.py."""
    text = page("coming-from.md").text
    cells = [line.split(" | ", 1)[1] for line in text.splitlines() if line.startswith("| ") and " | " in line]
    named = {name for cell in cells for name in re.findall(r"`(\w+)=(?:True)?`", cell)}
    known: set[str] = {"backlog"}  # of an endpoint of Twisted
    for function in (hey_joe.accept, hey_joe.enqueue, crosstown_traffic._queue):
        known |= set(inspect.signature(function).parameters)
    assert len(named) > 8 and named <= known


def test_the_extras_that_are_named_are_there() -> None:
    known = set(re.findall(r'^    "([a-z-]+)": \[', (ROOT / "setup.py").read_text(encoding="utf-8"), re.MULTILINE))
    table = page("getting-started.md").text.split("| extra |")[1].split("\n\n")[0]
    named = {name for row in table.splitlines()[2:] for name in re.findall(r"`([a-z-]+)`", row.split("|")[1])}
    for each in OURS:
        named |= {name for names in re.findall(r"hendrix\[([a-z,-]+)\]", each.text) for name in names.split(",")}
    assert len(named) > 8 and named <= known


def test_the_layers_are_those_of_the_test() -> None:
    ranks = load(ROOT / "tests/test_layers.py").RANKS
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    expected = [names for rank in ranks if (names := rank & parts)]
    assert [set(line.split()) for line in ARCHITECTURE.of("text")[0].text.splitlines()] == expected


def test_every_file_has_its_line_in_the_architecture() -> None:
    listed, folder = set(), ""
    for line in ARCHITECTURE.of("text")[1].text.splitlines():
        name = line.split()[0]
        depth = len(line) - len(line.lstrip())
        if name.endswith("/"):
            folder = name if depth == 0 else "hendrix/" + name
        else:
            listed.add(name if depth == 0 else ("hendrix/" if depth == 2 else folder) + name)
    files = {str(path.relative_to(ROOT)) for path in [*PACKAGE.rglob("*.py"), *ROOT.glob("twisted/plugins/*.py")]}
    assert listed == {name for name in files if name == "hendrix/__init__.py" or not name.endswith("/__init__.py")}


def test_the_options_of_hendrix_5_are_treated_as_the_page_says() -> None:
    rows = [line for line in page("hendrix-deploy.md").text.splitlines() if line.startswith("| options ")]
    kept, dropped = (set(re.findall(r"`(\w+)`", row.split("|")[1])) for row in rows)
    known = set(TABLE) | deploy.OWN
    assert kept <= known
    assert not dropped & known


def test_the_own_options_of_hendrix_deploy_are_documented() -> None:
    table = set(page("hendrix-deploy.md").column("## Options"))
    assert table | {"https_port", "https_only"} == deploy.OWN


@pytest.mark.parametrize("each", OURS, ids=str)
def test_the_commands_of_hx_exist(each: Page) -> None:
    for words in each.commands:
        if words[0] == "hx" and len(words) > 1 and not words[1].startswith("-"):
            known = words[1] in cli.COMMANDS
            assert known != (words[1] == "restart"), words
