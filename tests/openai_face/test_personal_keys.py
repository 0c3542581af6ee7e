"""A personal API key is the `api_key` of OpenAI's library, and its budget counts everything."""

from __future__ import annotations

from typing import Any

import pytest
from openai import AsyncOpenAI, PermissionDeniedError

from tests.harness import MODEL, RunningServer
from tests.media.recordings import silence
from tests.openai_face.clients import HELLO, client_of, receipts_of


async def made_key(server: RunningServer, *scopes: str) -> str:
    """A new key of the default user."""
    async with server.client.post(
        f"{server.url}/v1/user/api-keys",
        json={"name": "program", "scopes": list(scopes)},
        headers=server.bearer(),
    ) as answer:
        return str((await answer.json())["data"]["key"])


async def test_all_that_goes_through_a_key_says_so_in_the_books(server: RunningServer) -> None:
    key = await made_key(server, "chat", "embeddings", "audio", "images", "models")
    async with client_of(server, api_key=key) as client:
        await client.chat.completions.create(model=MODEL, messages=HELLO)
        await client.images.generate(prompt="a fox", size="64x64")  # type: ignore[arg-type]
        await client.audio.transcriptions.create(model="whisper-1", file=("a.wav", silence(1)))
        spoken: Any = await client.audio.speech.create(model="tts-1", voice="alloy", input="Yes.")
        assert spoken.content
    receipts = await receipts_of(server)
    assert {receipt["operation"] for receipt in receipts} == {
        "chat",
        "image",
        "transcription",
        "speech",
    }
    assert all(receipt["api_key_id"] for receipt in receipts)


@pytest.mark.parametrize(
    ("scope", "refused"), [("chat", "models"), ("models", "chat"), ("audio", "chat")]
)
async def test_a_key_may_do_what_its_scopes_say(
    server: RunningServer, scope: str, refused: str
) -> None:
    async def use(client: AsyncOpenAI) -> None:
        if refused == "models":
            await client.models.list()
        else:
            await client.chat.completions.create(model=MODEL, messages=HELLO)

    async with client_of(server, api_key=await made_key(server, scope)) as client:
        with pytest.raises(PermissionDeniedError) as caught:
            await use(client)
    assert caught.value.code == "forbidden"
