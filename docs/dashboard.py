"""Writes docs/metrics/grafana.json, the dashboard: ``python docs/dashboard.py``, or ``make docs``.

A test compares, and sees that each metric in it exists.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("metrics") / "grafana.json"
SOURCE = {"type": "prometheus", "uid": "${source}"}
HEIGHT = 8
# The width of a board.
COLUMNS = 24

Query = tuple[str, str]


def rate(metric: str, by: str = "") -> str:
    """How fast it grows each second."""
    return f"sum by ({by}) (rate({chosen(metric)}[$__rate_interval]))" if by else f"sum(rate({chosen(metric)}[$__rate_interval]))"


def quantile(part: float, metric: str, by: str = "") -> str:
    """Of a histogram."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({part}, {rate(f'hendrix_{metric}_bucket', labels)})"


def chosen(metric: str) -> str:
    return f'{metric}{{instance=~"$instance"}}'


def level(metric: str, by: str) -> str:
    return f"sum by ({by}) ({chosen(metric)})"


def quantiles(metric: str) -> list[Query]:
    return [(quantile(part, metric), name) for part, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))]


ROWS: dict[str, list[tuple[str, str, int, list[Query]]]] = {
    "Requests": [
        ("Answers by status", "reqps", 8, [(rate("hendrix_requests_total", "status"), "{{status}}")]),
        ("Latency", "s", 8, quantiles("request_seconds")),
        ("Wait for a thread", "s", 8, quantiles("request_wait_seconds")),
        ("Answers by route", "reqps", 8, [(f"topk(10, {rate('hendrix_requests_total', 'route')})", "{{route}}")]),
        ("Slowest routes, p95", "s", 8, [(f"topk(10, {quantile(0.95, 'request_seconds', 'route')})", "{{route}}")]),
        (
            "Content",
            "Bps",
            8,
            [(rate("hendrix_request_content_bytes_total"), "in"), (rate("hendrix_response_content_bytes_total"), "out")],
        ),
    ],
    "Capacity": [
        (
            "Threads busy",
            "percentunit",
            6,
            [(f"{level('hendrix_crew_busy', 'process')} / {level('hendrix_crew_threads', 'process')}", "{{process}}")],
        ),
        ("In the application", "short", 6, [(level("hendrix_requests_in_application", "process"), "{{process}}")]),
        ("In line", "short", 6, [(level("hendrix_crew_backlog", "process"), "{{process}}")]),
        ("First in line has waited", "s", 6, [(level("hendrix_crew_oldest_seconds", "process"), "{{process}}")]),
        (
            "Connections",
            "short",
            12,
            [(level("hendrix_http_connections", "lane"), "{{lane}}"), (f"sum({chosen('hendrix_tls_connections')})", "TLS")],
        ),
        ("Reactor late", "s", 12, [(f"max by (process) ({chosen('hendrix_reactor_lag_seconds')})", "{{process}}")]),
    ],
    "Crosstown": [
        ("Tasks by name and end", "ops", 8, [(rate("hendrix_crosstown_tasks_total", "task, state"), "{{task}} {{state}}")]),
        ("Start after the response", "s", 8, quantiles("crosstown_start_seconds")),
        ("Run, p95", "s", 8, [(quantile(0.95, "crosstown_run_seconds", "task"), "{{task}}")]),
        (
            "Running and waiting",
            "short",
            24,
            [
                (level("hendrix_crosstown_running", "process"), "{{process}} running"),
                (level("hendrix_crosstown_queued", "process"), "{{process}} waiting"),
            ],
        ),
    ],
    "Realtime": [
        ("WebSockets and streams", "short", 8, [(level("hendrix_realtime_connections", "kind"), "{{kind}}")]),
        (
            "Subscribers and topics",
            "short",
            8,
            [(f"sum({chosen('hendrix_hub_subscribers')})", "subscribers"), (f"sum({chosen('hendrix_hub_topics')})", "topics")],
        ),
        ("Messages", "ops", 8, [(rate("hendrix_hub_published_total"), "published"), (rate("hendrix_hub_missed_total"), "missed")]),
        (
            "Broker",
            "s",
            12,
            [(f"max by (instance) ({chosen('hendrix_broker_lag_seconds')})", "lag of {{instance}}")],
        ),
        (
            "Messages for the broker",
            "short",
            12,
            [
                (f"sum({chosen('hendrix_broker_waiting')})", "waiting"),
                (f"sum(increase({chosen('hendrix_broker_dropped_total')}[$__rate_interval]))", "dropped"),
                (f"sum(increase({chosen('hendrix_broker_reconnects_total')}[$__rate_interval]))", "reconnects"),
            ],
        ),
        (
            "Queues",
            "short",
            24,
            [
                (f"sum({chosen('hendrix_hub_queue_waiting')})", "waiting"),
                (f"sum({chosen('hendrix_hub_queue_working')})", "working"),
                (f"sum(increase({chosen('hendrix_hub_queue_lost_total')}[$__rate_interval]))", "lost"),
            ],
        ),
    ],
    "Processes": [
        ("Memory", "bytes", 8, [(level("hendrix_resident_memory_bytes", "process"), "{{process}}")]),
        ("Processor", "short", 8, [(rate("hendrix_cpu_seconds_total"), "cores")]),
        (
            "Workers",
            "short",
            8,
            [
                (f"sum({chosen('hendrix_workers_serving')})", "serving"),
                (f"sum({chosen('hendrix_workers_draining')})", "draining"),
                (f"sum({chosen('hendrix_workers')})", "places"),
            ],
        ),
        (
            "Starts and deaths",
            "short",
            24,
            [
                (f"sum(increase({chosen('hendrix_worker_starts_total')}[$__rate_interval]))", "workers started"),
                (f"sum(increase({chosen('hendrix_worker_deaths_total')}[$__rate_interval]))", "workers died"),
                (f"sum by (sibling) (increase({chosen('hendrix_sibling_restarts_total')}[$__rate_interval]))", "{{sibling}} made anew"),
            ],
        ),
    ],
}


def panel(number: int, title: str, unit: str, place: dict[str, int], queries: list[Query]) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": query, "legendFormat": legend, "range": True}
        for index, (query, legend) in enumerate(queries)
    ]
    return {
        "id": number,
        "type": "timeseries",
        "title": title,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": {"fillOpacity": 10, "showPoints": "never"}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": targets,
    }


def dashboard() -> dict[str, Any]:
    """All of it, as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, charts in ROWS.items():
        place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        panels.append({"id": len(panels) + 1, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []})
        y, x = y + 1, 0
        for name, unit, width, queries in charts:
            panels.append(panel(len(panels) + 1, name, unit, {"x": x, "y": y, "w": width, "h": HEIGHT}, queries))
            x += width
            if x >= COLUMNS:
                x, y = 0, y + HEIGHT
    instance = {"type": "query", "name": "instance", "label": "Instance", "datasource": SOURCE, "refresh": 2, "multi": True}
    instance |= {"includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}}
    instance |= {"query": {"query": "label_values(hendrix_info, instance)", "refId": "instances"}}
    return {
        "title": "hendrix",
        "uid": "hendrix",
        "tags": ["hendrix", "python", "wsgi"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [{"type": "datasource", "name": "source", "label": "Prometheus", "query": "prometheus"}, instance]},
        "panels": panels,
    }


def text() -> str:
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
