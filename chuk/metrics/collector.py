"""Everything that is measured, read at the moment of asking."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPEN_METRICS_TYPE
from prometheus_client.openmetrics.exposition import generate_latest as generate_open_metrics

Reading = Callable[[], Iterable[Metric]]
"""Looks at one part of the server."""

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_OPEN_METRICS = "application/openmetrics-text"


class Collector:
    """Every reading together, with a registry that nobody else writes into.

    Args:
        readings: of the server's parts.
    """

    def __init__(self, readings: Sequence[Reading]) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        # Memory, descriptors, processor time: as Prometheus' own clients call them.
        self._process = ProcessCollector(registry=None)
        self._readings = (*readings, self._process.collect)
        self._registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Which names there will be; not asked for, since nobody else registers any."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All families, as they are now."""
        for reading in self._readings:
            yield from reading()

    async def families(self) -> list[Metric]:
        """The same, giving way to everything else between one part and the next."""
        found: list[Metric] = []
        for reading in self._readings:
            found += reading()
            await asyncio.sleep(0)
        return found


class Families:
    """Families that were read before, for a registry."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = tuple(families)

    def describe(self) -> Iterable[Metric]:
        """See `Collector.describe`."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        return iter(self._families)


async def exposition(families: Iterable[Metric], accept: str) -> tuple[bytes, str]:
    """The document and its type: OpenMetrics where the request takes it, else Prometheus' text.

    It is written in a thread, so that streams go on meanwhile.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Families(families))
    if _OPEN_METRICS in accept:
        return await asyncio.to_thread(generate_open_metrics, registry), OPEN_METRICS_TYPE
    return await asyncio.to_thread(generate_latest, registry), TEXT_TYPE
