"""Views: one that each test writes itself, and some for the real server."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone, translation

from hendrix import hey_joe
from hendrix.crosstown.traffic import crosstown_traffic
from ledger import tasks
from ledger.api import default_task_backend
from ledger.models import Line

Probe = Callable[[HttpRequest], Any]
_probe: list[Probe] = []


def set_probe(view: Probe) -> None:
    """The view that ``probe/`` is to be."""
    _probe[:] = [view]


def probe(request: HttpRequest) -> Any:
    return _probe[0](request)


def order(request: HttpRequest) -> HttpResponse:
    """Write a line; its task writes one more, in the language of the request, on a connection of its own thread."""
    Line.objects.create(text="order")
    language = request.GET.get("language", "fr")
    served_by = threading.get_ident()
    if "die" in request.GET:
        crosstown_traffic(die)
    with translation.override(language), timezone.override("Asia/Tokyo"):

        @crosstown_traffic(after_commit="commit" in request.GET, same_thread="same" in request.GET, no_go_status_codes=[])
        def receipt() -> None:
            where = "same" if threading.get_ident() == served_by else "other"
            settings = f"{translation.get_language()} {timezone.get_current_timezone_name()} {where} {connection.in_atomic_block}"
            Line.objects.create(text=f"receipt {settings}")

    if "fail" in request.GET:
        raise RuntimeError("the order fails")
    return HttpResponse("ordered")


def die() -> None:
    """A task that loses the connection of its thread."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def said(request: HttpRequest) -> HttpResponse:
    """Publish in a transaction, which may fail, and be seen while it is open."""
    with transaction.atomic():
        Line.objects.create(text="said")
        hey_joe.publish("ledger.said", request.GET["text"], on_commit=True)
        hey_joe.publish("ledger.open", request.GET["text"])
        hey_joe.position()
        if "fail" in request.GET:
            raise RuntimeError("it fails")
    return HttpResponse("said")


def lines(request: HttpRequest) -> JsonResponse:
    return JsonResponse([line.text for line in Line.objects.order_by("pk")], safe=False)


def enqueue(request: HttpRequest) -> HttpResponse:
    """Enqueue tasks of Django; the answer is the id of the result of the first."""
    first = tasks.write
    if "later" in request.GET:
        first = first.using(run_after=timezone.now() + timedelta(seconds=float(request.GET["later"])))
    found = first.enqueue("one")
    tasks.write_async.enqueue("two")
    return HttpResponse(found.id, status=int(request.GET.get("status", 200)), headers={"X-Process": str(os.getpid())})


def result(request: HttpRequest, result_id: str) -> JsonResponse:
    found = default_task_backend.get_result(result_id)
    errors = [error.exception_class_path for error in found.errors]
    waited = (found.started_at - found.enqueued_at).total_seconds() if found.started_at else None
    return JsonResponse([found.status, errors, waited], safe=False, headers={"X-Process": str(os.getpid())})
