"""Pictures from words, by the embedded painter."""

from __future__ import annotations

import base64
import io

import pytest
from openai import AsyncOpenAI, BadRequestError, RateLimitError
from PIL import Image

from tests.conftest import StartServer
from tests.harness import RunningServer
from tests.openai_face.clients import client_of, receipts_of


async def test_a_picture_is_had_at_its_address_without_a_key(
    client: AsyncOpenAI, server: RunningServer
) -> None:
    answer = await client.images.generate(model="dall-e-3", prompt="a fox", size="256x256")
    assert answer.created > 1_700_000_000 and answer.data is not None
    (found,) = answer.data
    assert found.url is not None and found.b64_json is None
    async with server.client.get(found.url) as picture:
        assert picture.status == 200
        assert Image.open(io.BytesIO(await picture.read())).size == (256, 256)


async def test_who_asks_for_openais_own_painter_gets_the_bytes_that_its_clients_read(
    client: AsyncOpenAI,
) -> None:
    answer = await client.images.generate(model="gpt-image-1", prompt="a fox", size="256x256")
    assert answer.data is not None
    (found,) = answer.data
    assert found.url is None
    picture = Image.open(io.BytesIO(base64.b64decode(found.b64_json or "")))
    assert picture.size == (256, 256)


async def test_several_come_as_base64_and_each_is_in_the_books(
    client: AsyncOpenAI, server: RunningServer
) -> None:
    answer = await client.images.generate(
        prompt="a fox", n=2, size="256x256", response_format="b64_json"
    )
    assert answer.data is not None
    pictures = [base64.b64decode(found.b64_json or "") for found in answer.data]
    assert [Image.open(io.BytesIO(each)).size for each in pictures] == [(256, 256)] * 2
    assert pictures[0] != pictures[1]
    assert [receipt["operation"] for receipt in await receipts_of(server)] == ["image"] * 2


async def test_each_picture_counts_against_the_limit(start_server: StartServer) -> None:
    async with start_server(CHUK_LIMIT_IMAGE="2") as server, client_of(server) as client:
        with pytest.raises(RateLimitError):
            await client.images.generate(prompt="a fox", n=3, size="256x256")
        assert await receipts_of(server) == []


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [
        ({"prompt": " "}, "prompt"),
        ({"size": "big"}, "size"),
        ({"n": 11}, "n"),
        ({"background": "transparent"}, "background"),
    ],
)
async def test_what_cannot_be_drawn_is_refused(
    client: AsyncOpenAI, fields: dict[str, object], parameter: str
) -> None:
    with pytest.raises(BadRequestError) as caught:
        await client.images.generate(**{"prompt": "a fox", **fields})  # type: ignore[arg-type]
    assert caught.value.param == parameter


async def test_a_picture_of_a_size_that_is_not_drawn_is_refused(client: AsyncOpenAI) -> None:
    with pytest.raises(BadRequestError) as caught:
        await client.images.generate(prompt="a fox", size="4096x16")  # type: ignore[arg-type]
    assert caught.value.param == "size"
