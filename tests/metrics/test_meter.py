"""`hendrix.metrics.meter`: what is counted of each request, by any thread."""

from __future__ import annotations

import threading

from hendrix.buckets import BOUNDS
from hendrix.metrics.meter import OTHER, ROUTES, Meter, Samples, add


def serve(meter: Meter, method: str = "GET", code: str = "200", route: str = "/", waited: float = 0.0, seconds: float = 0.002) -> None:
    meter.served({"hendrix.route": route}, method, code, 5, 7, waited, seconds)


def requests(meter: Meter) -> Samples:
    return {key[1:]: value for key, value in meter.samples().items() if key[0] == "requests"}


def test_requests_are_counted_by_method_status_and_route() -> None:
    meter = Meter()
    for _ in range(3):
        serve(meter)
    serve(meter, "POST", "404", "/a/<id>")
    meter.refused("", "400")
    assert requests(meter) == {("GET", "200", "/"): 3, ("POST", "404", "/a/<id>"): 1, ("", "400", ""): 1}


def test_content_and_times_are_summed_and_refusals_have_none() -> None:
    meter = Meter()
    serve(meter, waited=0.25, seconds=0.5)
    serve(meter, waited=0.0, seconds=100.0)
    meter.refused("GET", "503")
    found = meter.samples()
    assert (found["request_content_bytes",], found["response_content_bytes",]) == (10, 14)
    took, waits = found["request_seconds", "/"], found["request_wait_seconds",]
    assert isinstance(took, list) and isinstance(waits, list)
    assert took[0] == 100.75 and took[-1] == 1 and took[1 + BOUNDS.index(1.0)] == 1 and sum(took[1:]) == 2
    assert waits[0] == 0.25 and waits[1] == 1 and waits[1 + BOUNDS.index(0.25)] == 1, "a bound belongs to the range below it"


def test_each_thread_counts_for_itself_and_nothing_is_lost() -> None:
    meter, each = Meter(), 2000
    threads = [threading.Thread(target=lambda: [serve(meter) for _ in range(each)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    seen = 0.0
    while any(thread.is_alive() for thread in threads):
        now = sum(value for value in requests(meter).values() if not isinstance(value, list))
        assert now >= seen, "a sum never goes back"
        seen = now
    for thread in threads:
        thread.join()
    assert requests(meter) == {("GET", "200", "/"): 4 * each}


def test_nobody_can_fill_the_memory_with_methods_or_routes() -> None:
    meter = Meter()
    for number in range(ROUTES + 50):
        serve(meter, f"M{number}", route=f"/{number}")
        meter.refused(f"M{number}", "400")
    found = requests(meter)
    assert len(found) == ROUTES + 2, "the routes, the others, and the refused"
    assert found[OTHER, "200", OTHER] == 50 and found[OTHER, "400", ""] == ROUTES + 50


def test_sums_do_not_share_their_lists_with_what_they_are_made_of() -> None:
    one: Samples = {("a",): [1.0, 2.0], ("b",): 3.0}
    sums: Samples = {}
    add(sums, one)
    add(sums, one)
    assert sums == {("a",): [2.0, 4.0], ("b",): 6.0} and one == {("a",): [1.0, 2.0], ("b",): 3.0}
