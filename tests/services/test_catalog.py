"""The model list: what clients read, and that it outlives its source."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import orjson
import pytest

from chuk.catalog.models import Model
from chuk.catalog.ports import CatalogUnavailable
from chuk.catalog.selection import Override, Selection
from chuk.catalog.service import Catalog
from chuk.catalog.store import CatalogStore
from chuk.errors import ModelNotFound, ServiceUnavailable
from tests.fakes.openrouter import FakeOpenRouter, Fault
from tests.services.catalogs import QWEN, Waits, catalog, qwen_slugs


class Broken:
    """A source with a defect of its own."""

    async def fetch(self, known: Sequence[Model]) -> Sequence[Model]:
        raise ZeroDivisionError


async def test_the_list_has_the_contracts_shape(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    models = catalog(openrouter, session)
    await models.refresh()
    first = next(each for each in orjson.loads(models.json()) if each["id"] == QWEN)
    assert first == {
        "id": QWEN,
        "name": "Qwen: Qwen3 32B",
        "description": "A dense model of 32.8 billion parameters that can think first.",
        "icon_url": None,
        "supports_vision": False,
        "supports_reasoning": True,
        "context_length": 131072,
        "upstream": "",
        "providers": [
            {
                "slug": "deepinfra/fp8",
                "name": "DeepInfra",
                "icon_url": None,
                "pricing": {"prompt": 1e-07, "completion": 2.8e-07, "request": 0, "image": 0},
                "context_length": 40960,
                "max_completion_tokens": None,
                "is_moderated": False,
            },
            {
                "slug": "groq",
                "name": "Groq",
                "icon_url": None,
                "pricing": {"prompt": 2.9e-07, "completion": 5.9e-07, "request": 0, "image": 0},
                "context_length": 131072,
                "max_completion_tokens": 40960,
                "is_moderated": False,
            },
        ],
    }


async def test_the_list_is_ordered_by_id_and_every_model_has_a_provider(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    models = catalog(openrouter, session)
    await models.refresh()
    ids = [model.id for model in models.models]
    assert ids == sorted(ids) == [each["id"] for each in orjson.loads(models.json())]
    assert all(model.providers for model in models.models)


async def test_before_the_first_list_the_service_is_unavailable(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    models = catalog(openrouter, session)
    assert (models.models, models.is_loaded, models.version) == ((), False, "")
    with pytest.raises(ServiceUnavailable):
        models.json()
    with pytest.raises(ServiceUnavailable):
        models.model(QWEN)


async def test_an_unknown_model_is_not_found(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    models = catalog(openrouter, session)
    await models.refresh()
    with pytest.raises(ModelNotFound):
        models.model("deepseek/deepseek-chat-v3.1")


async def test_the_version_changes_exactly_with_the_content(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    models = catalog(openrouter, session)
    await models.refresh()
    before = models.version
    await models.refresh()
    assert models.version == before
    openrouter.model(QWEN).endpoint("groq").prompt = "0.0000003"
    await models.refresh()
    assert models.version != before


@pytest.mark.parametrize("path", ["/models", "/endpoints/zdr"])
@pytest.mark.parametrize("fault", [Fault(body=b'{"data": []}'), Fault(status=503)])
async def test_when_the_list_is_empty_or_cannot_be_had_the_last_known_one_serves(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession, path: str, fault: Fault
) -> None:
    models = catalog(openrouter, session)
    await models.refresh()
    before = models.json()
    openrouter.fail(path, fault)
    with pytest.raises(CatalogUnavailable):
        await models.refresh()
    assert models.json() == before
    assert models.failed_refreshes == 1


async def test_the_last_known_list_survives_a_restart(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    first = catalog(openrouter, session, folder=tmp_path / "new")
    await first.refresh()
    openrouter.fail("/endpoints/zdr", Fault(body=b'{"data": []}'))
    waits = Waits()
    second = catalog(openrouter, session, folder=tmp_path / "new", waits=waits)
    await second.start()
    assert second.is_loaded
    assert (second.models, second.json()) == (first.models, first.json())
    await waits.next()
    assert second.failed_refreshes == 1
    assert second.json() == first.json()
    await second.close()


async def test_what_was_blocked_between_two_starts_is_gone_from_the_saved_list(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    await catalog(openrouter, session, folder=tmp_path, selection=Selection()).refresh()
    openrouter.fail("/models", Fault(status=500))
    selection = Selection(block=("google/*",), blocked_providers=frozenset({"chutes", "groq"}))
    second = catalog(openrouter, session, folder=tmp_path, selection=selection)
    await second.start()
    assert qwen_slugs(second) == ["deepinfra/fp8"]
    assert [model.id for model in second.models] == ["meta-llama/llama-3.3-70b-instruct", QWEN]
    await second.close()


async def test_the_saved_list_holds_only_what_is_allowed(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    await catalog(openrouter, session, folder=tmp_path).refresh()
    saved = (tmp_path / "catalog.json").read_text()
    assert "chutes" not in saved and "nebius" not in saved and "deepseek" not in saved
    assert os.listdir(tmp_path) == ["catalog.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\x00", b"[]", b"null", b'{"format": 1}'])
async def test_a_damaged_file_is_ignored_and_replaced(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "catalog.json"
    file.write_bytes(content)
    waits = Waits()
    models = catalog(openrouter, session, folder=tmp_path, waits=waits)
    await models.start()
    await waits.next()
    await models.close()
    assert await CatalogStore(file, origin="openrouter").load() == models.models


async def test_a_list_saved_from_another_source_is_not_used(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    await catalog(openrouter, session, folder=tmp_path).refresh()
    openrouter.fail("/models", Fault(status=500))
    other = catalog(openrouter, session, folder=tmp_path, origin="elsewhere")
    await other.start()
    assert not other.is_loaded
    await other.close()


async def test_a_disk_that_refuses_does_not_stop_the_list(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    models = catalog(openrouter, session, folder=tmp_path / "file")
    await models.refresh()
    assert models.is_loaded


async def test_a_failing_source_is_asked_again_after_doubling_waits_up_to_the_interval(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    openrouter.fail("/models", Fault(status=500))
    waits = Waits()
    models = catalog(openrouter, session, waits=waits)
    await models.start()
    for expected in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600):
        assert await waits.next() == expected
        waits.end()
    await waits.next()
    openrouter.mend()
    waits.end()
    await asyncio.wait_for(models.refreshed(), 30)
    assert await waits.next() == 600
    openrouter.fail("/models", Fault(status=500))
    waits.end()
    assert await waits.next() == 1
    assert models.is_loaded
    await models.close()


async def test_a_changed_price_arrives_with_the_next_refresh(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    waits = Waits()
    models = catalog(openrouter, session, waits=waits)
    await models.start()
    await waits.next()
    openrouter.model(QWEN).endpoint("groq").completion = "0.00000001"
    openrouter.model(QWEN).endpoint("groq").prompt = "0.00000001"
    waits.end()
    await waits.next()
    assert qwen_slugs(models) == ["groq", "deepinfra/fp8"]
    await models.close()


async def test_a_defect_in_a_source_does_not_end_the_refreshing() -> None:
    waits = Waits()
    models = Catalog(Broken(), sleep=waits)
    await models.start()
    assert await waits.next() == 1
    waits.end()
    assert await waits.next() == 2
    assert models.failed_refreshes == 2
    await models.close()


async def test_a_start_does_not_wait_for_a_hanging_source_and_a_close_ends_it(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    openrouter.fail("/endpoints/zdr", Fault(hang=True))
    models = catalog(openrouter, session)
    await asyncio.wait_for(models.start(), 30)
    await openrouter.wait_until(lambda: len(openrouter.requests) == 1)
    await asyncio.wait_for(models.close(), 30)


async def test_names_and_icons_of_ones_own_are_shown_but_not_saved(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    own = {QWEN: Override(name="Qwen", icon_url="https://example.org/q.png")}
    models = catalog(openrouter, session, folder=tmp_path, selection=Selection(overrides=own))
    await models.refresh()
    assert models.model(QWEN).name == "Qwen"
    assert models.model(QWEN).icon_url == "https://example.org/q.png"
    assert models.model(QWEN).description.startswith("A dense model")
    plain = catalog(openrouter, session, folder=tmp_path, selection=Selection())
    await plain.start()
    assert plain.model(QWEN).name == "Qwen: Qwen3 32B"
    await plain.close()
