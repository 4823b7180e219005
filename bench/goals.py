"""The goals for speed and memory, each with the figure of this run and whether it is met."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from load import CLOSE, KEEP_ALIVE
from results import Cell, Results
from servers import HENDRIX, PEERS, WAIT

APPS = ("bare", "flask", "django")
COUNTS = (8, 64)
EVERYWHERE = tuple((app, count) for app in APPS for count in COUNTS)
ALL = tuple(peer.name for peer in PEERS)
GUNICORN, WAITRESS, GRANIAN, UWSGI, TWISTED = ALL

SHARE = 0.95  # of what the threads can do, with the app that waits
IDLE = 10_000  # connections
ENOUGH = 0.95  # of them, where the limit of open files is lower: the memory of each is the same
IDLE_MEMORY = 8.0  # KiB for each
NEW_REQUEST = 100.0  # milliseconds, for a new connection with two requests while the idle ones wait


@dataclass(frozen=True)
class Goal:
    """A goal, the figures it was judged by, and the verdict: None where this run has not measured it."""

    text: str
    figures: str = ""
    met: bool | None = None
    aim: bool = False  # to aim at, not to reach


@dataclass(frozen=True)
class Rule:
    """A goal that is a limit for the ratio hendrix / peer of one figure: all the peers, in all the places (app, connections)."""

    text: str
    peers: tuple[str, ...]
    places: tuple[tuple[str, int], ...]
    limit: float = 1.0
    figure: str = "cpu"  # a field of Sample; a rate has to be at least the limit, all else at most
    mode: str = KEEP_ALIVE
    aim: bool = False

    def reached(self, ratio: float) -> bool:
        """Tell whether a ratio is good enough; a limit of 1 means ahead, not level."""
        if self.figure == "rate":
            return ratio >= self.limit
        return ratio < 1 if self.limit == 1 else ratio <= self.limit

    def judge(self, results: Results) -> Goal:
        """Judge by the hardest peer in each place."""
        met, figures = True, []
        for app, count in self.places:
            cell = Cell(HENDRIX.name, app, self.mode, count)
            ratios = [(results.ratio(cell, peer, self.figure), peer) for peer in self.peers]
            known = [(ratio, peer) for ratio, peer in ratios if ratio is not None]
            if len(known) < len(ratios):
                return Goal(self.text, aim=self.aim)
            ratio, peer = min(known) if self.figure == "rate" else max(known)
            met = met and self.reached(ratio)
            where = f"{app} {count}: " if len(self.places) > 1 else ""
            figures.append(f"{where}{ratio:.2f} of {peer} ({results.median(cell, self.figure):,.1f})")
        return Goal(self.text, "; ".join(figures), met, self.aim)


BARE = EVERYWHERE[:2]
THREADED = (GUNICORN, WAITRESS, GRANIAN, TWISTED)  # a thread of uWSGI serves one connection and leaves the others waiting
RULES = (
    *(Rule(f"CPU, {app}: below uWSGI", (UWSGI,), tuple((app, count) for count in COUNTS)) for app in APPS),
    Rule("CPU, bare, 8 connections: below granian", (GRANIAN,), BARE[:1]),
    Rule("CPU, bare, 64 connections: within 1.15 of granian", (GRANIAN,), BARE[1:], 1.15),
    Rule("CPU, django: at most half of gunicorn gthread", (GUNICORN,), EVERYWHERE[4:], 0.5),
    Rule("CPU, all three apps: the least of all servers", ALL, EVERYWHERE, aim=True),
    *(Rule(f"p99, {app}, 64 connections: below every threaded peer's but uWSGI's", THREADED, ((app, 64),), figure="p99") for app in APPS),
    Rule("CPU, bare, one connection per request: a third of gunicorn gthread", (GUNICORN,), BARE, 1 / 3, mode=CLOSE),
    Rule("req/s, bare, one connection per request: 3 times gunicorn gthread", (GUNICORN,), BARE, 3, "rate", CLOSE),
)


def judge(results: Results, threads: int) -> list[Goal]:
    """Return every goal with its verdict."""
    return [*(rule.judge(results) for rule in RULES), waiting(results, threads), memory(results), *idle(results)]


def waiting(results: Results, threads: int) -> Goal:
    """Judge the app that waits, at both numbers of connections."""
    if not results.asleep:
        return Goal(f"req/s, an app that waits {1000 * WAIT:g} ms: at least {SHARE} of what {threads} threads can do")
    most = statistics.median(results.asleep)
    text = (
        f"req/s, an app that waits {1000 * WAIT:g} ms: at least {SHARE} of what {threads} threads can do, "
        f"which is {most:,.0f} here when they only sleep ({threads / WAIT:,.0f} if sleeps were exact)"
    )
    rates = {count: results.median(Cell(HENDRIX.name, "waiting", KEEP_ALIVE, count), "rate") for count in COUNTS}
    shares = {count: rate / most for count, rate in rates.items() if rate is not None}
    if len(shares) < len(rates):
        return Goal(text)
    figures = "; ".join(f"{count}: {share:.3f}" for count, share in shares.items())
    return Goal(text, figures, min(shares.values()) >= SHARE)


def memory(results: Results) -> Goal:
    """Judge the memory of one serving process."""
    text = "PSS, django, warm: at most that of gunicorn's two processes together"
    own, theirs = results.pss(HENDRIX.name, "django"), results.pss(GUNICORN, "django")
    if own is None or theirs is None:
        return Goal(text)
    return Goal(text, f"{own:.1f} MiB, gunicorn {theirs:.1f} MiB", own <= theirs)


def idle(results: Results) -> list[Goal]:
    """Judge the idle connections."""
    cost = f"{IDLE:,} idle keep-alive connections: at most {IDLE_MEMORY:g} KiB each"
    answer = f"a new connection's answer while those wait: within {NEW_REQUEST:g} ms"
    found = results.idle
    if found is None or found.connections < ENOUGH * IDLE:
        return [Goal(cost), Goal(answer)]
    times = f"p50 {found.p50:.1f} ms, worst {found.worst:.1f} ms"
    return [
        Goal(cost, f"{found.memory:.2f} KiB with {found.connections:,}", found.memory <= IDLE_MEMORY),
        Goal(answer, times, found.worst <= NEW_REQUEST),
    ]
