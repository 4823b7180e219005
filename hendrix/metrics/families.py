"""Every family of metrics, spelled once: its name, what it is, and where the numbers of the tree go.

The tables of docs/metrics.md are made from this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True)
class Family:
    """:ivar name: without ``hendrix_`` before and ``_total`` behind it.
    :ivar help: a line for people.
    :ivar labels: what tells its members apart.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """As it is asked for; a histogram has ``_bucket``, ``_sum`` and ``_count`` behind that."""
        return f"hendrix_{self.name}{'_total' if self.kind == 'counter' else ''}"


# Summed over all processes, those that have ended included.
SUMS: Final = (
    Family("requests", "counter", "Answers, those without the application included.", ("method", "status", "route")),
    Family("request_seconds", "histogram", "From the arrival of a request to the end of its answer in the application.", ("route",)),
    Family("request_wait_seconds", "histogram", "Of that, the time for which it waited for a thread."),
    Family("request_content_bytes", "counter", "Content of the requests that the application has answered."),
    Family("response_content_bytes", "counter", "Content of its answers."),
    Family("crosstown_tasks", "counter", "Crosstown tasks that have come to an end: done, failed, no-go or cancelled.", ("task", "state")),
    Family("crosstown_start_seconds", "histogram", "From the moment at which a task could start to its start.", ("task",)),
    Family("crosstown_run_seconds", "histogram", "From there to its end.", ("task",)),
    Family("cpu_seconds", "counter", "Processor time of all processes that serve, and of the first one."),
)

# Of the tree as it is now.
GAUGES: Final = (
    Family("requests_in_application", "gauge", "Requests that have a thread.", ("process",)),
    Family("crew_threads", "gauge", "Threads for requests and tasks.", ("process",)),
    Family("crew_busy", "gauge", "Of those, the ones in a request or a task.", ("process",)),
    Family("crew_backlog", "gauge", "Requests and tasks that wait for a thread.", ("process",)),
    Family("crew_oldest_seconds", "gauge", "How long the first request in line has waited.", ("process",)),
    Family("http_connections", "gauge", "Open connections, by who reads them: the threads (fast) or the reactor.", ("process", "lane")),
    Family("tls_connections", "gauge", "Of those, the ones with TLS.", ("process",)),
    Family("crosstown_running", "gauge", "Tasks that run.", ("process",)),
    Family("crosstown_queued", "gauge", "Tasks that have not started, whatever they wait for.", ("process",)),
    Family("realtime_connections", "gauge", "WebSockets, event streams and long polls.", ("process", "kind")),
    Family("hub_topics", "gauge", "Topics with subscribers or members."),
    Family("hub_subscribers", "gauge", "Subscribers, of all processes."),
    Family("hub_processes", "gauge", "Processes at the hub."),
    Family("hub_published", "counter", "Messages that were published."),
    Family("hub_kept_messages", "gauge", "Messages in histories."),
    Family("hub_kept_characters", "gauge", "Their size."),
    Family("hub_missed", "counter", "Messages that subscribers have missed, since they were too slow or too long away."),
    Family("hub_queues", "gauge", "Queues."),
    Family("hub_queue_waiting", "gauge", "Messages in queues that wait for a consumer."),
    Family("hub_queue_working", "gauge", "Messages that a consumer has now."),
    Family("hub_queue_lost", "counter", "Messages that queues have lost; the log says why."),
    Family("broker_connected", "gauge", "Whether the hub reaches its broker, and so the other nodes; absent without one."),
    Family("broker_lag_seconds", "gauge", "How long the broker took to answer last."),
    Family("broker_reconnects", "counter", "Times that the broker was reached, the first included."),
    Family("broker_waiting", "gauge", "Messages that wait for the broker."),
    Family("broker_dropped", "counter", "Messages that found no more room to wait."),
    Family("broker_misunderstood", "counter", "Messages of other nodes that this version does not understand."),
    Family("workers", "gauge", "Places for workers."),
    Family("workers_serving", "gauge", "Places whose worker serves."),
    Family("workers_draining", "gauge", "Workers that have been replaced and are ending."),
    Family("worker_starts", "counter", "Worker processes that were started."),
    Family("worker_deaths", "counter", "Of those, the ones that have ended and were not told to."),
    Family("sibling_restarts", "counter", "Times that a sibling was made anew.", ("sibling",)),
    Family("resident_memory_bytes", "gauge", "Memory in use.", ("process",)),
    Family("reactor_lag_seconds", "gauge", "By how much the reactor came late; the worst of the last 15 seconds.", ("process",)),
    Family("node", "gauge", "Every other number of the tree, as hx stats has it.", ("process", "node", "number")),
    Family("uptime_seconds", "gauge", "Since the start of the first process."),
    Family("info", "gauge", "Always 1; the labels say which versions these are.", ("version", "python", "twisted")),
)

FAMILIES: Final = (*SUMS, *GAUGES)
BY_NAME: Final = {family.name: family for family in FAMILIES}

# The numbers of a node of this name: their family, and the values of its labels after the process; None where a sum has them.
NODES: Final[dict[str, dict[str, tuple[str, ...] | None]]] = {
    "crew": {
        "threads": ("crew_threads",),
        "busy": ("crew_busy",),
        "backlog": ("crew_backlog",),
        "oldest": ("crew_oldest_seconds",),
        "in_application": ("requests_in_application",),
    },
    "web": {
        "connections": None,
        "fast_lane": ("http_connections", "fast"),
        "reactor_lane": ("http_connections", "reactor"),
        "tls": ("tls_connections",),
        "requests": None,
    },
    "crosstown": {
        "queued": ("crosstown_queued",),
        "running": ("crosstown_running",),
        **dict.fromkeys(("done", "failed", "gated", "cancelled", "started")),
        **dict.fromkeys(("start_delay_sum", "start_delay_max", "start_delay_p50", "start_delay_p99")),
    },
    "process": {"rss": ("resident_memory_bytes",), "lag": ("reactor_lag_seconds",)},
}

# The same of nodes of which there is one, in the first process; without the process.
ONCE: Final[dict[str, dict[str, str]]] = {
    "hub": {
        **{name: f"hub_{name}" for name in ("topics", "subscribers", "processes", "published", "kept_characters", "missed")},
        **{name: f"hub_{name}" for name in ("queues", "queue_waiting", "queue_working", "queue_lost")},
        **{name: name for name in ("broker_connected", "broker_lag_seconds", "broker_reconnects", "broker_waiting")},
        **{name: name for name in ("broker_dropped", "broker_misunderstood")},
        "kept": "hub_kept_messages",
    },
    "workers": {
        "workers": "workers",
        "serving": "workers_serving",
        "draining": "workers_draining",
        "started": "worker_starts",
        "died": "worker_deaths",
    },
}

# Whose numbers are how many there are of each kind.
KINDS: Final = {"connections": "realtime_connections"}
