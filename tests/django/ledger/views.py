"""Views: one that each test writes itself, and some for the real server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone, translation

from hendrix.crosstown.traffic import crosstown_traffic
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
    with translation.override(language), timezone.override("Asia/Tokyo"):

        @crosstown_traffic(after_commit="commit" in request.GET, same_thread="same" in request.GET, no_go_status_codes=[])
        def receipt() -> None:
            where = "same" if threading.get_ident() == served_by else "other"
            settings = f"{translation.get_language()} {timezone.get_current_timezone_name()} {where} {connection.in_atomic_block}"
            Line.objects.create(text=f"receipt {settings}")

    if "fail" in request.GET:
        raise RuntimeError("the order fails")
    return HttpResponse("ordered")


def lines(request: HttpRequest) -> JsonResponse:
    return JsonResponse([line.text for line in Line.objects.order_by("pk")], safe=False)
