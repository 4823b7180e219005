"""Spans for OpenTelemetry. Imported with ``--opentelemetry`` and not otherwise.

A request is a span of kind *server* whose parent is the one that its ``traceparent`` names. Within it are the time for which it waited for
a thread and the time in the application; what the application records, and what it asks of others meanwhile, belongs to the latter. So
does each of its crosstown tasks, which is a span of its own.

Where spans go, and which are kept, is for the SDK that the application, or ``opentelemetry-instrument``, sets up. Without one, hendrix
passes the trace on and records nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from opentelemetry import context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import Span, SpanKind, StatusCode
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from hendrix import __version__
from hendrix.crosstown.around import around
from hendrix.crosstown.task import Task
from hendrix.metrics.meter import METHODS
from hendrix.metrics.routes import route_of
from hendrix.wsgi.call import Application
from hendrix.wsgi.environ import Environ

log = Logger(namespace="hendrix.opentelemetry")

# Seconds for the last spans to leave when the process ends.
TO_FLUSH = 5.0


class Response(Protocol):
    """What `hendrix.channel.response.Response` has for us.

    :ivar trace: for its tasks: the trace that they are part of.
    """

    trace: Any
    code: str
    heard: str
    failed: bool

    @property
    def method(self) -> str: ...
    def run(self, application: Application, environ: Environ) -> bool: ...


class OfEnviron(Getter[Environ]):
    """Reads the fields of a request."""

    def get(self, carrier: Environ, key: str) -> list[str] | None:
        value = carrier.get("HTTP_" + key.upper().replace("-", "_"))
        return [value] if isinstance(value, str) else None

    def keys(self, carrier: Environ) -> list[str]:
        return [key[5:].lower().replace("_", "-") for key in carrier if key.startswith("HTTP_")]


ENVIRON = OfEnviron()


class Tracing(Service):
    """The node "opentelemetry". It starts before what it records, and ends after it.

    :param clock: what requests and tasks are timed with.
    """

    name = "opentelemetry"

    def __init__(self, reactor: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._reactor, self._clock = reactor, clock
        self._tracer = trace.get_tracer("hendrix", __version__)

    def describe(self) -> str:
        provider = trace.get_tracer_provider()
        return "recording" if hasattr(provider, "force_flush") else "passing traces on; there is no SDK that would record"

    def startService(self) -> None:
        super().startService()
        around.append(self._task)

    def stopService(self) -> Deferred[Any] | None:
        """Fires when the last spans are out: the end of a process by a signal leaves them no time."""
        super().stopService()
        around.remove(self._task)
        flush = getattr(trace.get_tracer_provider(), "force_flush", None)
        if flush is None:
            return None
        flushing = deferToThreadPool(self._reactor, self._reactor.getThreadPool(), flush, int(TO_FLUSH * 1000))
        return flushing.addErrback(lambda failure: log.failure("the last spans could not be sent", failure))

    # A request.

    def request(self, response: Response, application: Application, environ: Environ, since: float) -> bool:
        """Run the response of a request that came then (worker thread)."""
        began = time.time_ns()
        came = began - int((self._clock() - since) * 1e9)
        parent = propagate.extract(environ, getter=ENVIRON)
        span = self._tracer.start_span(_name(environ), parent, SpanKind.SERVER, _attributes(environ), start_time=came)
        within = trace.set_span_in_context(span, parent)
        self._tracer.start_span("wait for a thread", within, start_time=came).end(began)
        inside = self._tracer.start_span("application", within, start_time=began)
        response.trace = trace.set_span_in_context(inside, within)

        def call(environ: Environ, start_response: Any) -> Any:
            try:
                return application(environ, start_response)
            except Exception as error:
                inside.record_exception(error)
                raise

        token = context.attach(response.trace)
        try:
            return response.run(call, environ)
        finally:
            context.detach(token)
            _tell_outcome(span, inside, response, environ)
            inside.end()
            span.end()

    # A task.

    @contextmanager
    def _task(self, task: Any) -> Iterator[None]:
        """Around a task; handlers of connections are none."""
        if not isinstance(task, Task):
            yield
            return
        parent = self._cause(task)
        attributes: dict[str, str | float] = {"hendrix.task": task.name, "hendrix.start_delay": max(0.0, task.started - _due(task))}
        span = self._tracer.start_span(f"task {task.name}", parent, attributes=attributes)
        task.within(context.attach, trace.set_span_in_context(span, parent))
        try:
            yield
        finally:
            if task.error is not None:
                span.record_exception(task.error)
                span.set_status(StatusCode.ERROR, type(task.error).__name__)
            span.end()

    def _cause(self, task: Task) -> Context:
        """Where it was decorated; what was put into ``hendrix.after_response`` by hand knows its response alone."""
        here: Context = task.within(context.get_current)
        there = getattr(task.response, "trace", None)
        return here if there is None or trace.get_current_span(here).get_span_context().is_valid else there


def _due(task: Task) -> float:
    return max(task.queued, task.response.out_at if task.response is not None else 0.0)


def _name(environ: Environ, route: str = "") -> str:
    """Of few: a path would be one of its own for each user."""
    method = environ["REQUEST_METHOD"]
    return f"{method if method in METHODS else 'HTTP'} {route}".rstrip()


def _attributes(environ: Environ) -> dict[str, Any]:
    """By the semantic conventions of OpenTelemetry for HTTP servers; those that samplers may want."""
    method = environ["REQUEST_METHOD"]
    found = {
        "http.request.method": method if method in METHODS else "_OTHER",
        "url.scheme": environ["wsgi.url_scheme"],
        "url.path": environ["SCRIPT_NAME"] + environ["PATH_INFO"],
        "url.query": environ["QUERY_STRING"],
        "server.address": environ.get("HTTP_HOST", environ["SERVER_NAME"]),
        "client.address": environ["REMOTE_ADDR"],
        "user_agent.original": environ.get("HTTP_USER_AGENT", ""),
        "network.protocol.version": environ["SERVER_PROTOCOL"].removeprefix("HTTP/"),
    }
    return {key: value for key, value in found.items() if value}


def _tell_outcome(span: Span, inside: Span, response: Response, environ: Environ) -> None:
    if not span.is_recording():
        return
    route = route_of(environ)
    if route:
        span.set_attribute("http.route", route)
        span.update_name(_name({"REQUEST_METHOD": response.method}, route))
    code = response.heard or response.code
    if code:
        span.set_attribute("http.response.status_code", int(code))
    if code[:1] in ("5", "") or response.failed:
        span.set_status(StatusCode.ERROR)
    if response.failed:
        inside.set_status(StatusCode.ERROR)
