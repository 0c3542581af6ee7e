"""Several sources are one list, and what one of them fails to say takes nothing from the others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from chuk.catalog.models import Model, Pricing, Provider
from chuk.catalog.ports import CatalogUnavailable, PartlyUnavailable
from chuk.catalog.selection import Override, Selection
from chuk.catalog.service import Catalog
from chuk.catalog.sources import MergedSources, NamedSource
from chuk.catalog.store import CatalogStore
from tests.services.catalogs import Waits


def a_model(model_id: str, slug: str = "p") -> Model:
    """A model that is free of charge."""
    return Model(model_id, model_id, "", 8_000, (Provider(slug, "P", Pricing(), 8_000),))


class Source:
    """Offers these models, or fails while `is_down`; notes what it was told as known."""

    def __init__(self, *ids: str) -> None:
        self.models: Sequence[Model] = tuple(map(a_model, ids))
        self.is_down = False
        self.known: Sequence[Model] = ()

    async def fetch(self, known: Sequence[Model]) -> Sequence[Model]:
        """See `ModelSource.fetch`."""
        self.known = known
        if self.is_down:
            raise CatalogUnavailable("down")
        return self.models


def ids(models: Sequence[Model]) -> list[str]:
    return [model.id for model in models]


async def test_every_model_is_marked_with_where_it_lives() -> None:
    merged = MergedSources([NamedSource("a", Source("x/1")), NamedSource("b", Source("x/2"))])
    assert [(m.id, m.upstream) for m in await merged.fetch(())] == [("x/1", "a"), ("x/2", "b")]


async def test_of_two_models_with_one_id_the_earlier_sources_stays() -> None:
    merged = MergedSources(
        [NamedSource("a", Source("x/1", "x/2")), NamedSource("b", Source("x/2", "x/3"))]
    )
    with capture_logs() as lines:
        models = await merged.fetch(())
    assert [(m.id, m.upstream) for m in models] == [("x/1", "a"), ("x/2", "a"), ("x/3", "b")]
    assert [line["models"] for line in lines] == [["x/2"]]


async def test_a_list_that_has_not_changed_is_the_same_object() -> None:
    first, second = Source("x/1"), Source("x/2")
    merged = MergedSources([NamedSource("a", first), NamedSource("b", second)])
    models = await merged.fetch(())
    assert await merged.fetch(models) is models
    second.models = (a_model("x/3"),)
    assert ids(await merged.fetch(models)) == ["x/1", "x/3"]


async def test_what_a_source_had_before_stays_while_it_fails() -> None:
    first, second = Source("x/1"), Source("x/2")
    merged = MergedSources([NamedSource("a", first), NamedSource("b", second)])
    known = await merged.fetch(())
    second.is_down, first.models = True, (a_model("x/4"),)
    with pytest.raises(PartlyUnavailable) as caught:
        await merged.fetch(known)
    assert ids(caught.value.models) == ["x/4", "x/2"]
    assert ids(first.known) == ["x/1"] and ids(second.known) == ["x/2"]


async def test_when_nothing_is_known_of_any_there_is_no_list() -> None:
    source = Source("x/1")
    source.is_down = True
    merged = MergedSources([NamedSource("a", source), NamedSource("b", source)])
    with pytest.raises(CatalogUnavailable) as caught:
        await merged.fetch(())
    assert not isinstance(caught.value, PartlyUnavailable)
    assert str(caught.value) == "a: down; b: down"


async def test_each_list_is_kept_on_its_own_and_one_of_ones_own_needs_no_file(
    tmp_path: Path,
) -> None:
    def made(remote: Source) -> MergedSources:
        store = CatalogStore(tmp_path / "remote.json", origin="https://remote.example")
        return MergedSources(
            [NamedSource("own", Source("own/1")), NamedSource("remote", remote, store)]
        )

    remote = Source("x/1")
    first = Catalog(made(remote), sleep=Waits())
    assert first.models == ()
    merged = made(remote)
    catalog = Catalog(merged, store=merged, sleep=Waits())
    await catalog.refresh()
    remote.is_down = True
    merged = made(remote)
    again = Catalog(merged, store=merged, sleep=Waits())
    await again.start()
    assert ids(again.models) == ["own/1", "x/1"]
    assert again.model("x/1").upstream == "remote"
    await again.close()


async def test_a_part_that_fails_is_asked_again_soon_and_the_rest_serves_meanwhile() -> None:
    own, remote, waits = Source("own/1"), Source("x/1"), Waits()
    remote.is_down = True
    catalog = Catalog(
        MergedSources([NamedSource("own", own), NamedSource("remote", remote)]),
        refresh_interval=600,
        sleep=waits,
    )
    await catalog.start()
    await catalog.refreshed()
    assert ids(catalog.models) == ["own/1"]
    assert await waits.next() == 1.0
    assert catalog.failed_refreshes == 1
    remote.is_down = False
    waits.end()
    assert await waits.next() == 600
    assert ids(catalog.models) == ["own/1", "x/1"]
    await catalog.close()


async def test_ones_own_models_need_no_permission_but_may_be_dressed() -> None:
    selection = Selection(
        allow=("x/*",),
        overrides={"own/1": Override(name="Ours")},
        blocked_providers=frozenset({"p"}),
        own=frozenset({"own"}),
    )
    merged = MergedSources(
        [NamedSource("own", Source("own/1")), NamedSource("remote", Source("x/1", "y/1"))]
    )
    catalog = Catalog(merged, selection=selection)
    await catalog.refresh()
    assert [model.name for model in catalog.models] == ["Ours"]
