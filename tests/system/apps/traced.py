"""A site that keeps its spans in memory and shows them at /spans; with TRACED_FILE it writes their names there, in batches."""

from __future__ import annotations

import json
import os
import sys

if "NO_SDK" not in os.environ:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    if "TRACED_FILE" in os.environ:
        out = open(os.environ["TRACED_FILE"], "a")  # noqa: SIM115
        exporter = ConsoleSpanExporter(out=out, formatter=lambda span: f"{span.name}\n")
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=3_600_000))
    trace.set_tracer_provider(provider)

import flask

from hendrix import crosstown_traffic

app = flask.Flask("traced")


@app.get("/modules")
def modules() -> list[str]:
    return [name for name in sys.modules if name.startswith("opentelemetry")]


@app.get("/spans")
def spans() -> flask.Response:
    found = [
        {
            "name": span.name,
            "kind": span.kind.name,
            "trace": f"{span.context.trace_id:032x}",
            "id": f"{span.context.span_id:016x}",
            "parent": f"{span.parent.span_id:016x}" if span.parent else "",
            "start": span.start_time,
            "end": span.end_time,
            "status": span.status.status_code.name,
            "events": [event.name for event in span.events],
            "attributes": dict(span.attributes),
        }
        for span in kept.get_finished_spans()
    ]
    return flask.Response(json.dumps(found), mimetype="application/json")


@app.get("/onward/<name>")
def onward(name: str) -> dict[str, str]:
    """What it would send to a service that it asks."""
    from opentelemetry.propagate import inject

    carrier: dict[str, str] = {}
    inject(carrier)
    return carrier


@app.get("/tasks")
def tasks() -> str:
    from opentelemetry import trace

    @crosstown_traffic(name="mail")
    def mail() -> None:
        with trace.get_tracer("app").start_as_current_span("smtp"):
            pass

    @crosstown_traffic(name="bad")
    def bad() -> None:
        raise ValueError("bad")

    flask.request.environ["hendrix.after_response"].append(by_hand)
    return "tasks"


def by_hand() -> None:
    pass


@app.get("/broken")
def broken() -> str:
    raise ValueError("broken")


def raising(environ, start_response):  # not Flask's, which makes an answer of it
    if environ["PATH_INFO"] == "/raise":
        raise ValueError("raised")
    return app(environ, start_response)
