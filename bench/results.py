"""The results: samples gathered part by part, printed as Markdown and kept as JSON."""

from collections.abc import Sequence
from statistics import median
from typing import Any, NamedTuple

import msgspec

from bench.sampling import Sample


class Metric(NamedTuple):
    """A row: the sample's key, what it is called, and how its numbers are written."""

    key: str
    title: str
    digits: int = 0


COSTS = (
    Metric("cpu_us", "CPU µs a message, server + database", 1),
    Metric("server_us", "… server", 1),
    Metric("database_us", "… database", 1),
    Metric("redis_us", "… Redis", 1),
    Metric("p50_ms", "latency p50, ms", 2),
    Metric("p99_ms", "latency p99, ms", 2),
    Metric("load_us", "(load generator: CPU µs a message)", 1),
    Metric("others", "(other programs: cores)", 2),
)

THROUGHPUT = (Metric("rate", "messages/s"), *COSTS)


class Part(msgspec.Struct):
    """One workload over the variants it compares: a sample each, every round."""

    title: str
    variants: list[str]
    metrics: Sequence[Metric]
    # Rows' ratios are the first of these variants over the second.
    ratio: tuple[str, str] | None = None
    ratio_title: str = ""
    goals: dict[str, str] = {}
    note: str = ""
    samples: dict[str, list[Sample]] = {}

    def add(self, variant: str, sample: Sample) -> None:
        """Keep one round's sample of a variant."""
        self.samples.setdefault(variant, []).append(sample)

    def values(self, variant: str, key: str) -> list[float]:
        """What the rounds gave for one row of a variant."""
        return [sample[key] for sample in self.samples.get(variant, []) if key in sample]

    def ratio_of(self, key: str) -> float | None:
        """The ratio of the two variants' medians, when both were measured."""
        if self.ratio is None or key == "others":
            return None
        above, below = (self.values(variant, key) for variant in self.ratio)
        if not above or not below or not median(below):
            return None
        return median(above) / median(below)

    def table(self) -> str:
        """The part as a Markdown table: medians, with the least and the most of the rounds."""
        heads = ["", *self.variants]
        if self.ratio:
            heads += [self.ratio_title or " / ".join(self.ratio)]
        if self.goals:
            heads += ["goal"]
        lines = [f"### {self.title}", "", _row(heads), _row(["---", *["---:"] * (len(heads) - 1)])]
        for metric in self.metrics:
            cells = [
                _spread(self.values(variant, metric.key), metric.digits)
                for variant in self.variants
            ]
            if not any(cells):
                continue
            if self.ratio:
                ratio = self.ratio_of(metric.key)
                cells.append("" if ratio is None else f"{ratio:.2f}×")
            if self.goals:
                cells.append(self.goals.get(metric.key, ""))
            lines.append(_row([metric.title, *cells]))
        return "\n".join([*lines, *(["", self.note] if self.note else []), ""])

    def as_json(self) -> dict[str, Any]:
        """Everything, with medians, for whoever draws or compares."""
        return {
            "title": self.title,
            "variants": self.variants,
            "goals": self.goals,
            "ratio": self.ratio,
            "samples": self.samples,
            "medians": {
                variant: {
                    metric.key: median(values)
                    for metric in self.metrics
                    if (values := self.values(variant, metric.key))
                }
                for variant in self.variants
            },
            "ratios": {
                metric.key: ratio
                for metric in self.metrics
                if (ratio := self.ratio_of(metric.key)) is not None
            },
        }


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _spread(values: list[float], digits: int) -> str:
    if not values:
        return ""
    middle, least, most = (
        f"{value:,.{digits}f}" for value in (median(values), min(values), max(values))
    )
    return middle if least == most else f"**{middle}** ({least}–{most})"
