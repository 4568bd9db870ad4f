"""Figures as plain data, and how those of several processes become one report."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

# How the figures of several processes become one: their sum, the largest, the smallest, or each by
# itself, with its process's name.
Merging = Literal["sum", "max", "min", "each"]
Labels = tuple[tuple[str, str], ...]


class Sample(msgspec.Struct, array_like=True, frozen=True):
    """A figure: its labels and its value. Of a histogram: the counts between its bounds too."""

    labels: Labels
    value: float  # of a histogram: the sum of what was measured
    counts: tuple[int, ...] = ()


class Family(msgspec.Struct, frozen=True):
    """The figures of one name."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    samples: tuple[Sample, ...]
    merging: Merging = "sum"
    bounds: tuple[float, ...] = ()  # the upper ones of a histogram, but for the last


Report = Sequence[Family]

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Family])


def counter(name: str, help_: str, values: Mapping[Labels, float] | float) -> Family:
    """Return what only grows, by its labels; the name ends in `_total`."""
    return Family(name, "counter", help_, _samples(values))


def gauge(
    name: str, help_: str, values: Mapping[Labels, float] | float, merging: Merging = "sum"
) -> Family:
    """Return what goes up and down, by its labels."""
    return Family(name, "gauge", help_, _samples(values), merging)


def histogram(
    name: str, help_: str, bounds: Sequence[float], counts: Sequence[int], total: float
) -> Family:
    """Return how often what was measured fell between the bounds, and the sum of it all."""
    samples = (Sample((), total, tuple(counts)),)
    return Family(name, "histogram", help_, samples, bounds=tuple(bounds))


def by(label: str, values: Mapping[str, float]) -> dict[Labels, float]:
    """Return values that differ by one label."""
    return {((label, name),): value for name, value in values.items()}


def _samples(values: Mapping[Labels, float] | float) -> tuple[Sample, ...]:
    if isinstance(values, Mapping):
        return tuple(Sample(labels, value) for labels, value in values.items())
    return (Sample((), values),)


def encode(report: Report) -> bytes:
    """Return a report as it goes to another process."""
    return _encoder.encode(report)


def decode(encoded: bytes) -> Report:
    """Return a report of another process. Raises msgspec.DecodeError."""
    return _decoder.decode(encoded)


def merge(reports: Mapping[str, Report], ended: Iterable[Report] = ()) -> Report:
    """Return one report of several processes, by their names, and of what `ended` ones counted."""
    families: dict[str, Family] = {}
    found: dict[str, dict[Labels, Sample]] = {}
    named = [*(("", report) for report in ended), *reports.items()]
    for name, report in named:
        for family in report:
            families.setdefault(family.name, family)
            samples = found.setdefault(family.name, {})
            for sample in family.samples:
                labels = sample.labels
                if family.merging == "each":
                    labels = (*labels, ("worker", name))
                other = samples.get(labels)
                merged = sample if other is None else _merged(other, sample, family.merging)
                samples[labels] = Sample(labels, merged.value, merged.counts)
    return [
        Family(f.name, f.kind, f.help, tuple(found[f.name].values()), f.merging, f.bounds)
        for f in families.values()
    ]


def _merged(one: Sample, other: Sample, merging: Merging) -> Sample:
    if merging == "max":
        return max(one, other, key=lambda sample: sample.value)
    if merging == "min":
        return min(one, other, key=lambda sample: sample.value)
    counts = tuple(map(sum, zip(one.counts, other.counts, strict=True)))
    return Sample(one.labels, one.value + other.value, counts)


class Workers:
    """The reports of an instance's workers, whose counters never go back.

    A worker that ends takes its counters along, and Prometheus would take a smaller sum for a new
    start. So what was last heard of an ended process stays in the sum.
    """

    def __init__(self) -> None:
        self._latest: dict[tuple[str, int], Report] = {}
        self._ended: Report = ()

    def merge(self, heard: Mapping[tuple[str, int], bytes | None]) -> Report:
        """Return one report, given what each living process says, by its name and id.

        A process that says nothing this time counts with what it said last.
        """
        for process, encoded in heard.items():
            if encoded is not None:
                self._latest[process] = decode(encoded)
        for process in self._latest.keys() - heard.keys():
            counted = [
                family
                for family in self._latest.pop(process)
                if family.kind != "gauge" and family.merging == "sum"
            ]
            self._ended = merge({"": counted}, [self._ended])
        reports = {name: report for (name, _), report in self._latest.items()}
        return merge(reports, [self._ended])
