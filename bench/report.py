"""The report as Markdown: goals, tables, ratios, memory, what was checked."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

import brokers
import crosstown
import realtime
import scaling
from goals import Goal, judge
from load import KEEP_ALIVE
from results import Cell, Results
from servers import APPS, HENDRIX, SERVERS

CLIENT_BOUND = 0.95  # of its core
UNSERVED = 0.4  # of the connections
VERDICT: dict[Any, str] = {True: "met", False: "**not met**", None: "not measured"}


@dataclass(frozen=True)
class Context:
    """What a reader has to know of a run beside its results."""

    date: str
    duration: float  # minutes
    machine: str
    versions: dict[str, str]
    load: tuple[str, str]  # load averages before and after
    rounds: int
    seconds: float
    threads: int
    connections: tuple[int, ...]
    modes: tuple[str, ...]


def render(results: Results, context: Context) -> str:
    """Return the whole report."""
    parts = [
        "# Results of `make bench`",
        heading(results, context),
        "## Goals",
        goals_table(judge(results, context.threads)),
        "## Speed",
        speed_notes(results),
        *(speed_table(results, context, app, mode) for app in APPS for mode in context.modes),
        "## Memory",
        memory_table(results),
        idle_text(results),
        "## Crosstown traffic",
        crosstown_table(results),
        "## Worker processes",
        judged(scaling.judge(results.scaling)),
        scaling.weights_text(results.scaling),
        "## WebSockets",
        judged(realtime.judge(results.realtime)),
        realtime_table(results.realtime),
        "## Brokers",
        judged(brokers.judge(results.brokers)),
        brokers_table(results.brokers),
        "## Checks",
        checks_text(results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(header: list[str], rows: list[list[str]], numbers: bool = True) -> str:
    """Return a Markdown table, aligned right if it holds numbers."""
    line = ["---"] + ["---:" if numbers else "---"] * (len(header) - 1)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, line, *rows))


def number(value: float | None, pattern: str) -> str:
    """Return a value, or a dash for what was not measured."""
    return "–" if value is None else format(value, pattern)


def heading(results: Results, context: Context) -> str:
    """Return when, where and with what this was measured, and how quiet the machine was."""
    samples = results.all_samples()
    lines = [
        f"- {context.date}, {context.duration:.0f} min; {context.machine}; load average {context.load[0]} before, {context.load[1]} after",
        "- " + ", ".join(f"{name} {version}" for name, version in context.versions.items()),
        f"- {context.rounds} round{'s' if context.rounds > 1 else ''} of {context.seconds:g} s for each figure, which is their median;"
        f" {context.threads} threads; the server on one core, wrk on another; access log off",
    ]
    if samples:
        foreign, steal = [sample.foreign for sample in samples], [sample.steal for sample in samples]
        spread = [results.spread(cell) for cell in results.samples]
        quiet = (
            f"- quiet? other processes kept {statistics.median(foreign):.2f} cores busy (at most {max(foreign):.2f}),"
            f" the hypervisor took {statistics.median(steal):.2f} (at most {max(steal):.2f})"
        )
        if context.rounds > 1:
            quiet += f"; rounds of one measurement differ by {statistics.median(spread):.0%} (at most {max(spread):.0%}) in CPU per request"
        lines.append(quiet)
    return "\n".join(lines)


def goals_table(goals: list[Goal]) -> str:
    """Return each goal, its figures and its verdict. A ratio is hendrix / peer; hendrix' own figure stands in brackets."""
    rows = [[goal.text + (" (to aim at)" if goal.aim else ""), goal.figures, VERDICT[goal.met]] for goal in goals]
    required = [goal for goal in goals if not goal.aim]
    met = sum(goal.met is True for goal in required)
    note = f"{met} of {len(required)} met, those to aim at aside. Ratios are hendrix / peer, hendrix' own figure stands in brackets."
    return note + "\n\n" + table(["goal", "this run", ""], rows, numbers=False)


def crosstown_table(results: Results) -> str:
    """Return each goal of crosstown traffic, its figures and its verdict."""
    return judged(crosstown.judge(results.crosstown))


def judged(goals: list[Goal]) -> str:
    """Return each goal, its figures and its verdict."""
    return table(["goal", "this run", ""], [[goal.text, goal.figures, VERDICT[goal.met]] for goal in goals], numbers=False)


def brokers_table(found: dict[str, brokers.Carried]) -> str:
    """What goes from node to node in a second, and how long one takes."""
    rows = [[kind, f"{each.rate:,.0f}", f"{each.p50:.2f} ms", f"{each.p99:.2f} ms"] for kind, each in found.items()]
    return table(["through Redis, from node to node", "messages per second", "p50", "p99"], rows) if rows else ""


def realtime_table(found: realtime.Realtime | None) -> str:
    """Return what each server made of its WebSockets, and what it costs hendrix to publish."""
    if found is None:
        return ""
    header = ["server", "echo/s", "CPU µs", f"{realtime.SUBSCRIBERS:,} have it, ms", "CPU µs each", "idle, KiB", "of"]
    rows = [
        [name, f"{one.rate:,.0f}", f"{one.cpu:.1f}", f"{one.last:.1f}", f"{one.each:.1f}", f"{one.memory:.1f}", f"{one.open:,}"]
        for name, one in found.held.items()
    ]
    costs = "; ".join(f"{count} connections: {cost:.1f} µs" for count, cost in found.publishing.items())
    text = f"Messages there and back over {realtime.ECHOES} connections, handled by synchronous code; one message to many subscribers.\n"
    return f"{text}\n{table(header, rows)}\n\nCPU that publishing adds to a request of hendrix: {costs}"


def speed_notes(results: Results) -> str:
    """Return how to read the tables."""
    lines = [
        "CPU: microseconds per request of the whole process tree.",
        "×: hendrix / peer; hendrix needs less CPU below 1, answers more requests above 1.",
    ]
    if any(is_client_bound(results, cell) for cell in results.samples):
        lines.append("`*`: wrk had no core left, the server could do more.")
    if any(leaves_waiting(results, cell) for cell in results.samples):
        lines.append(
            "`†`: serves some of its connections and leaves the others waiting, whose times are not seen: wrk counts what is answered."
        )
    return "\n".join(lines)


def is_client_bound(results: Results, cell: Cell) -> bool:
    """Tell whether wrk was the bottleneck."""
    return (results.median(cell, "client") or 0) > CLIENT_BOUND


def leaves_waiting(results: Results, cell: Cell) -> bool:
    """Tell whether connections starve: by Little's law, rate * mean time is the number of those that are served."""
    served = results.median(cell, "served")
    return cell.mode == KEEP_ALIVE and served is not None and served < UNSERVED * cell.connections


def speed_table(results: Results, context: Context, app: str, mode: str) -> str:
    """Return one app's table in one mode, a row for each server."""
    counts = [count for count in context.connections if any((app, mode, count) == cell[1:] for cell in results.samples)]
    if not counts:
        return ""
    figures = [("CPU µs", "cpu", ".1f"), ("req/s", "rate", ",.0f"), ("p50 ms", "p50", ".2f"), ("p99 ms", "p99", ".2f")]
    header = ["server"] + [f"{title}, {count}" for title, _, _ in figures for count in counts]
    header += [f"× {title}, {count}" for title in ("CPU", "req/s") for count in counts]
    rows = []
    for server in (server.name for server in SERVERS.values()):
        cells = [Cell(server, app, mode, count) for count in counts]
        if not any(cell in results.samples for cell in cells):
            continue
        row = [server]
        for _, name, pattern in figures:
            for cell in cells:
                mark = "*" if name == "rate" and is_client_bound(results, cell) else ""
                mark = "†" if name in ("p50", "p99") and leaves_waiting(results, cell) else mark
                row.append(number(results.median(cell, name), pattern) + mark)
        for name in ("cpu", "rate"):
            row += [number(results.ratio(cell._replace(server=HENDRIX.name), server, name), ".2f") for cell in cells]
        rows.append(row)
    title = f"### {app}, {'one connection per request' if mode == 'close' else mode}"
    return title + f" ({' and '.join(map(str, counts))} connections)\n\n" + table(header, rows)


def memory_table(results: Results) -> str:
    """Return the PSS of each server and app, before and after the load."""
    apps = [app for app in APPS if any(key[1] == app for key in results.memory)]
    rows = []
    for server in (server.name for server in SERVERS.values()):
        if any(key[0] == server for key in results.memory):
            pairs = [(results.pss(server, app, warm=False), results.pss(server, app)) for app in apps]
            rows.append([server] + [f"{number(cold, '.1f')} / {number(warm, '.1f')}" for cold, warm in pairs])
    if not rows:
        return ""
    return "PSS of the whole process tree in MiB, cold (first answer given) / warm (after the load).\n\n" + table(["server", *apps], rows)


def idle_text(results: Results) -> str:
    """Return what the idle connections of hendrix cost."""
    idle = results.idle
    if idle is None:
        return ""
    short = f" ({idle.wanted:,} were wanted: the limit of open files is too low)" if idle.connections < idle.wanted else ""
    return "\n".join(
        (
            f"{idle.connections:,} idle keep-alive connections on {HENDRIX.name}{short}:\n",
            f"- each: {idle.memory:.2f} KiB of PSS, {idle.descriptors:.2f} file descriptors",
            f"- all together: {idle.cpu:.1f} ms of CPU per second while nothing happens",
            f"- a new connection with two requests while they wait: p50 {idle.p50:.1f} ms, worst {idle.worst:.1f} ms",
            f"- all of them were answered a second time: {'yes' if idle.alive else '**no**'}",
            f"- file descriptors left when they had gone: {idle.left}",
        )
    )


def checks_text(results: Results) -> str:
    """Return how much was checked, and all that was wrong."""
    samples = results.all_samples()
    total = sum(sample.requests for sample in samples)
    text = (
        f"{len(samples)} measurements, {total:,} requests. Checked in each: no status but 2xx, no socket error, no time-out (2 s),"
        " as many bytes as that many right answers have, connections kept or closed as asked, and the right body before and after the load."
    )
    if not results.faults:
        return text + " Nothing was wrong."
    return text + "\n\nWrong were:\n\n" + "\n".join(f"- {fault}" for fault in results.faults)
