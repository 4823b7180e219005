"""Samples as Prometheus' text, which ``prometheus-client`` writes; imported when somebody asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from hendrix.buckets import BOUNDS
from hendrix.metrics.families import FAMILIES, Family
from hendrix.metrics.meter import Key, Samples

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4
ENDS = [*map(repr, BOUNDS), "+Inf"]


def text(samples: Samples) -> bytes:
    """All of them, by family."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Samplings(samples))
    return generate_latest(registry)


class Samplings(Collector):
    """What ``prometheus-client`` collects from."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def describe(self) -> Iterable[Metric]:
        """Nothing: no name is ever registered twice."""
        return ()

    def collect(self) -> Iterator[Metric]:
        by_family: dict[str, list[Key]] = {}
        for key in self._samples:
            by_family.setdefault(key[0], []).append(key)
        for family in FAMILIES:
            yield self._family(family, by_family.get(family.name, []))

    def _family(self, family: Family, keys: list[Key]) -> Metric:
        name, labels = f"hendrix_{family.name}", family.labels
        if family.kind == "histogram":
            histograms = HistogramMetricFamily(name, family.help, labels=labels)
            for key in keys:
                value = self._samples[key]
                assert isinstance(value, list)
                histograms.add_metric(key[1:], list(zip(ENDS, accumulate(value[1:]))), sum_value=value[0])
            return histograms
        made = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
        metric = made(name, family.help, labels=labels)
        for key in keys:
            value = self._samples[key]
            assert not isinstance(value, list)
            metric.add_metric(key[1:], value)
        return metric
