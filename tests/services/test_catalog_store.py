"""The saved model list: exact, whole, or not used at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chuk.catalog.models import Model, Pricing, Provider
from chuk.catalog.store import CatalogStore
from tests.services.random_models import random_models

MODEL = Model("a/b", "B", "", 8192, (Provider("groq", "Groq", Pricing(), 8192),))


def _without_prompt_price(document: dict[str, Any]) -> None:
    document["models"][0]["providers"][0]["prompt"] = "-1"


def _without_providers(document: dict[str, Any]) -> None:
    document["models"][0]["providers"] = []


def _from_the_future(document: dict[str, Any]) -> None:
    document["format"] = 2


@pytest.mark.parametrize("spoil", [_without_prompt_price, _without_providers, _from_the_future])
async def test_a_saved_list_with_something_wrong_is_ignored_as_a_whole(
    tmp_path: Path, spoil: Any
) -> None:
    file = tmp_path / "catalog.json"
    await CatalogStore(file, origin="openrouter").save([MODEL])
    document = orjson.loads(file.read_bytes())
    spoil(document)
    file.write_bytes(orjson.dumps(document))
    assert await CatalogStore(file, origin="openrouter").load() is None


@settings(max_examples=25, deadline=None)
@given(st.lists(random_models, max_size=3))
async def test_a_saved_list_comes_back_exactly(tmp_path_factory: Any, models: list[Model]) -> None:
    store = CatalogStore(tmp_path_factory.mktemp("store") / "catalog.json", origin="x")
    assert await store.save(models)
    assert await store.load() == tuple(models)


async def test_a_disk_that_refuses_is_told_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "catalog.json").mkdir()
    assert not await CatalogStore(tmp_path / "catalog.json", origin="x").save([MODEL])
    assert os.listdir(tmp_path) == ["catalog.json"]
