"""Several sources of models as one, so that the failure of one costs the others nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from chuk.catalog.models import Model
from chuk.catalog.ports import CatalogUnavailable, KeptList, ModelSource, PartlyUnavailable
from chuk.logs import logger

_log = logger("catalog")


@dataclass(frozen=True, slots=True)
class NamedSource:
    """The models of one upstream.

    Attributes:
        name: the upstream; each of its models is marked with it.
        store: keeps its last known list; None: it is always there.
    """

    name: str
    source: ModelSource
    store: KeptList | None = None


class MergedSources:
    """One list of all models, each id once: of two with the same id the earlier source's.

    Implements `chuk.catalog.ports.ModelSource` and `KeptList`, each source's list in its own
    store.
    """

    def __init__(self, sources: Sequence[NamedSource]) -> None:
        self._sources = tuple(sources)
        self._parts: tuple[Sequence[Model], ...] = ()
        self._merged: tuple[Model, ...] = ()
        self._clashes: frozenset[str] = frozenset()
        self._saved: dict[str, tuple[Model, ...]] = {}

    async def fetch(self, known: Sequence[Model]) -> Sequence[Model]:
        """See `ModelSource.fetch`; what a source that failed had before stays.

        Raises:
            PartlyUnavailable: some of the sources failed.
            CatalogUnavailable: all failed, and nothing is known of any.
        """
        before = {each.name: _of(each.name, known) for each in self._sources}
        answers = await asyncio.gather(
            *(each.source.fetch(before[each.name]) for each in self._sources),
            return_exceptions=True,
        )
        parts: list[Sequence[Model]] = []
        problems: list[str] = []
        for each, answer in zip(self._sources, answers, strict=True):
            if isinstance(answer, CatalogUnavailable):
                problems.append(f"{each.name}: {answer}")
                parts.append(before[each.name])
            elif isinstance(answer, BaseException):
                raise answer
            else:
                parts.append(answer)
        merged = self._merge(tuple(parts))
        if problems and merged:
            raise PartlyUnavailable("; ".join(problems), merged)
        if problems:
            raise CatalogUnavailable("; ".join(problems))
        return merged

    async def load(self) -> tuple[Model, ...] | None:
        """What is known before anybody was asked; see `KeptList.load`."""
        parts: list[Sequence[Model]] = []
        for each in self._sources:
            if each.store is None:
                parts.append(await each.source.fetch(()))
            else:
                parts.append(await each.store.load() or ())
        return self._merge(tuple(parts)) or None

    async def save(self, models: Sequence[Model]) -> bool:
        """See `KeptList.save`; a list that has not changed is not written again."""
        is_saved = True
        for each in self._sources:
            part = _of(each.name, models)
            if each.store is None or not part or self._saved.get(each.name) == part:
                continue
            if await each.store.save(part):
                self._saved[each.name] = part
            else:
                is_saved = False
        return is_saved

    def _merge(self, parts: tuple[Sequence[Model], ...]) -> tuple[Model, ...]:
        """The same object again where no source has given another list."""
        is_same = len(parts) == len(self._parts) and all(
            new is old for new, old in zip(parts, self._parts, strict=True)
        )
        if is_same:
            return self._merged
        by_id: dict[str, Model] = {}
        clashes: set[str] = set()
        for each, part in zip(self._sources, parts, strict=True):
            for model in part:
                if model.id in by_id:
                    clashes.add(model.id)
                else:
                    marked = model.upstream == each.name
                    by_id[model.id] = model if marked else replace(model, upstream=each.name)
        if clashes - self._clashes:
            _log.warning("models_with_one_id", models=sorted(clashes))
        self._clashes = frozenset(clashes)
        self._parts, self._merged = parts, tuple(by_id.values())
        return self._merged


def _of(name: str, models: Sequence[Model]) -> tuple[Model, ...]:
    return tuple(model for model in models if model.upstream == name)
