"""Reads ``/metrics`` as Prometheus does."""

from __future__ import annotations

import http.client
import re
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from harness import Site

STATUS = "--status=tcp:0:interface=127.0.0.1"
# A sample: its name, and its labels.
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Scraper:
    """Asks a site for its metrics, each time on a connection of its own."""

    def __init__(self, site: Site) -> None:
        found = re.search(r"live page is on http://127\.0\.0\.1:([0-9]+)", site.log)
        assert found is not None, site.log
        self._port = int(found[1])

    def get(self, path: str = "/metrics") -> tuple[int, str, str]:
        """Status, media type and text."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
        finally:
            connection.close()

    def samples(self) -> Samples:
        status, _, text = self.get()
        assert status == 200, text
        families = text_string_to_metric_families(text)
        return {(sample.name, frozenset(sample.labels.items())): sample.value for family in families for sample in family.samples}

    def sum(self, name: str, **labels: Any) -> float:
        """Over all samples of this name that have these labels."""
        wanted = {(key, str(value)) for key, value in labels.items()}
        return sum(value for (sample, its), value in self.samples().items() if sample == f"hendrix_{name}" and wanted <= its)


def went_back(before: Samples, after: Samples) -> list[str]:
    """What only ever grows, and has become less or is gone."""
    growing = {key: value for key, value in before.items() if key[0].endswith(("_total", "_count", "_bucket", "_sum"))}
    return [f"{key}: {value} -> {after.get(key)}" for key, value in growing.items() if after.get(key, -1.0) < value]
