"""The models in OpenAI's shape."""

from __future__ import annotations

import pytest
from openai import AsyncOpenAI, NotFoundError

from tests.harness import MODEL, RunningServer


async def test_every_model_is_listed_as_openai_lists_them(client: AsyncOpenAI) -> None:
    models = [model async for model in client.models.list()]
    assert MODEL in [model.id for model in models]
    (found,) = [model for model in models if model.id == MODEL]
    assert found.object == "model" and found.owned_by == "qwen" and found.created == 0


async def test_one_model_is_found_by_an_id_with_slashes(client: AsyncOpenAI) -> None:
    assert (await client.models.retrieve(MODEL)).id == MODEL


async def test_so_it_is_where_the_slash_is_plain(server: RunningServer) -> None:
    async with server.client.get(
        f"{server.url}/v1/models/{MODEL}", headers=server.bearer()
    ) as answer:
        assert answer.status == 200 and (await answer.json())["id"] == MODEL


async def test_an_unknown_one_is_not_found(client: AsyncOpenAI) -> None:
    with pytest.raises(NotFoundError) as caught:
        await client.models.retrieve("nobody/nothing")
    assert caught.value.code == "model_not_found"
