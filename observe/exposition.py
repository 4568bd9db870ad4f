"""Figures in the form that Prometheus reads."""

from collections.abc import Awaitable, Callable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from observe.families import Family, Report


def expose(report: Report, accept: str = "") -> tuple[bytes, str]:
    """Return a report as text, and its media type: OpenMetrics for whoever accepts that."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(report))
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type


class _Figures(Collector):
    def __init__(self, report: Report) -> None:
        self._report = report

    def collect(self) -> Iterator[Metric]:
        """Yield each family as the library has it."""
        return map(_metric, self._report)


def _metric(family: Family) -> Metric:
    # Every sample of a family has the same labels.
    names = [name for name, _ in family.samples[0].labels] if family.samples else []
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(family.name, family.help, labels=names)
        for sample in family.samples:
            bounds = [*map(str, family.bounds), "+Inf"]
            buckets = [*zip(bounds, accumulate(sample.counts), strict=True)]
            histogram.add_metric([value for _, value in sample.labels], buckets, sample.value)
        return histogram
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=names)
    for sample in family.samples:
        metric.add_metric([value for _, value in sample.labels], sample.value)
    return metric


def exposing(report: Callable[[], Report]) -> Callable[[str], Awaitable[tuple[bytes, str]]]:
    """Return what exposes a report that is made when it is asked for."""

    async def expose_now(accept: str) -> tuple[bytes, str]:
        return expose(report(), accept)

    return expose_now
