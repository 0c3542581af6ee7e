"""An `Idempotency-Key` makes a request that was sent twice one, with one answer and one price."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, ConflictError

from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import MODEL, RunningServer, openrouter_environ, running_server
from tests.openai_face.clients import HELLO, WEATHER, client_of, receipts_of
from tests.openai_face.test_tools import CALLS
from tests.redis_server import RedisServer

KEY: Any = {"Idempotency-Key": "first-try"}


@pytest.mark.parametrize("stream", [True, False])
async def test_a_turn_sent_twice_is_answered_from_the_first(
    client: AsyncOpenAI, server: RunningServer, openrouter: FakeOpenRouter, *, stream: bool
) -> None:
    openrouter.script(CALLS)

    async def ask() -> Any:
        answer: Any = await client.chat.completions.create(
            model=MODEL, messages=HELLO, tools=[WEATHER], stream=stream, extra_headers=KEY
        )
        if not stream:
            return answer.id, answer.choices[0].message.tool_calls
        return [(chunk.id, chunk.choices) async for chunk in answer]

    assert await ask() == await ask()
    assert len(openrouter.completions) == 1
    assert len(await receipts_of(server)) == 1


async def test_a_key_stands_for_one_request(
    client: AsyncOpenAI, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=["Hi"]))
    await client.chat.completions.create(model=MODEL, messages=HELLO, extra_headers=KEY)
    with pytest.raises(ConflictError) as caught:
        await client.chat.completions.create(
            model=MODEL, messages=[*HELLO, *HELLO], extra_headers=KEY
        )
    assert caught.value.code == "idempotency_conflict"
    assert caught.value.response.headers["x-should-retry"] == "false"


async def test_pictures_asked_for_twice_are_the_same(
    client: AsyncOpenAI, server: RunningServer
) -> None:
    answers = [
        await client.images.generate(prompt="a fox", n=2, size="64x64", extra_headers=KEY)  # type: ignore[arg-type]
        for _ in range(2)
    ]
    assert answers[0].data == answers[1].data
    assert len(await receipts_of(server)) == 2


async def test_a_repeat_at_another_machine_has_the_picture_as_well(
    tmp_path: Path, redis_server: RedisServer, openrouter: FakeOpenRouter
) -> None:
    environ = {
        **openrouter_environ(openrouter),
        "REDIS_URL": redis_server.url,
        "CHUK_REDIS_TIMEOUT": "5",
        "CHUK_STREAM_KEY": b64encode(bytes(range(32))).decode(),
    }
    drawn: list[Any] = []
    for machine in ("one", "two"):
        async with (
            running_server(environ, tmp_path / machine, euros=1) as server,
            client_of(server) as client,
        ):
            drawn += (
                await client.images.generate(
                    prompt="a fox",
                    size="64x64",  # type: ignore[arg-type]
                    response_format="b64_json",
                    extra_headers=KEY,
                )
            ).data or []
    assert drawn[0].b64_json is not None and drawn[0] == drawn[1]


@pytest.mark.parametrize("length", [15_780, 15_980])
async def test_a_repeat_says_what_the_answer_took_wherever_it_is_cut(
    client: AsyncOpenAI, openrouter: FakeOpenRouter, length: int
) -> None:
    # So long that what it took and its end are read back one after the other.
    openrouter.script(Reply(content=["x" * length]))

    async def ask() -> Any:
        stream: Any = await client.chat.completions.create(
            model=MODEL, messages=HELLO, stream=True, extra_headers=KEY
        )
        return [chunk.usage async for chunk in stream][-1]

    first = await ask()
    assert first is not None and first == await ask()
