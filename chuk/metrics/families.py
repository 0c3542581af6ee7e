"""Families of metrics, from plain numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric

from chuk.counts import Counts, Spread, Spreads

Words = tuple[str, ...]


def gauge(name: str, text: str, value: float | None) -> Metric:
    """One number that goes up and down; None: it is not known, and nothing is told."""
    family = GaugeMetricFamily(name, text, labels=())
    if value is not None:
        family.add_metric((), value)
    return family


def gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    """The same, one for each word."""
    family = GaugeMetricFamily(name, text, labels=(label,))
    for word, value in values.items():
        family.add_metric((word,), value)
    return family


def labelled_gauge(
    name: str, text: str, labels: Sequence[str], values: Iterable[tuple[Words, float]]
) -> Metric:
    """The same, for each combination of words."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for words, value in values:
        family.add_metric(words, value)
    return family


def counter(name: str, text: str, value: float) -> Metric:
    """One number that only grows. `name` is without `_total`."""
    family = CounterMetricFamily(name, text, labels=())
    family.add_metric((), value)
    return family


def counters(name: str, text: str, labels: Sequence[str], *counts: Counts) -> Metric:
    """The same, for each combination of words; what several counts know is added up."""
    together: dict[Words, float] = {}
    for each in counts:
        for words, value in each.items():
            together[words] = together.get(words, 0) + value
    return word_counter(name, text, labels, together.items())


def word_counter(
    name: str, text: str, labels: Sequence[str], values: Iterable[tuple[Words, float]]
) -> Metric:
    """The same, from pairs of words and number."""
    family = CounterMetricFamily(name, text, labels=labels)
    for words, value in values:
        family.add_metric(words, value)
    return family


def spread(name: str, text: str, values: Spread) -> Metric:
    """How values are spread."""
    return spreads(name, text, (), [((), values)])


def spreads(
    name: str, text: str, labels: Sequence[str], values: Iterable[tuple[Words, Spread]] | Spreads
) -> Metric:
    """The same, for each combination of words."""
    family = HistogramMetricFamily(name, text, labels=labels)
    for words, each in values.items() if isinstance(values, Spreads) else values:
        bounds = [*map(str, each.bounds), "+Inf"]
        buckets = list(zip(bounds, map(float, accumulate(each.counts)), strict=True))
        family.add_metric(words, buckets, each.total)
    return family
