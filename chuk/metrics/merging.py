"""The numbers of several processes as one document: each with the name of whose they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families


def read(text: str) -> list[Metric]:
    """The families of a document in Prometheus' text format.

    Raises:
        ValueError: it is none.
    """
    return list(text_string_to_metric_families(text))


def merged(documents: Iterable[tuple[Mapping[str, str], Iterable[Metric]]]) -> list[Metric]:
    """The families of all documents, each sample with its document's labels as well."""
    families: dict[str, Metric] = {}
    for labels, document in documents:
        for family in document:
            known = families.get(family.name)
            if known is None:
                known = families[family.name] = Metric(
                    family.name, family.documentation, family.type
                )
            for sample in family.samples:
                known.add_sample(sample.name, {**sample.labels, **labels}, sample.value)
    return list(families.values())
