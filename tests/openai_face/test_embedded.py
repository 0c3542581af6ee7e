"""The embedded language model, asked by OpenAI's library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError

from tests.harness import running_server
from tests.openai_face.clients import WEATHER, client_of

MODEL = "local/gemma-3-270m"
SUM: list[Any] = [{"role": "user", "content": "What is 2+2? Answer briefly."}]
FORMAT: Any = {
    "type": "json_schema",
    "json_schema": {
        "name": "sum",
        "schema": {
            "type": "object",
            "properties": {"is_even": {"type": "boolean"}},
            "required": ["is_even"],
            "additionalProperties": False,
        },
    },
}


async def test_it_answers_keeps_to_a_schema_and_says_that_it_knows_no_tools(
    tmp_path: Path,
) -> None:
    async with running_server({}, tmp_path) as server, client_of(server) as client:
        whole = await client.chat.completions.create(
            model=MODEL, messages=SUM, temperature=0, seed=1, max_tokens=30
        )
        assert whole.choices[0].message.content and whole.usage is not None
        assert whole.usage.completion_tokens > 0

        stream = await client.chat.completions.create(
            model=MODEL, messages=SUM, temperature=0, seed=1, max_tokens=30, stream=True
        )
        chunks = [chunk async for chunk in stream]
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == whole.choices[0].message.content

        held = await client.chat.completions.create(
            model=MODEL, messages=SUM, max_tokens=200, temperature=0, response_format=FORMAT
        )
        assert isinstance(json.loads(held.choices[0].message.content or "")["is_even"], bool)

        with pytest.raises(BadRequestError) as caught:
            await client.chat.completions.create(model=MODEL, messages=SUM, tools=[WEATHER])
        assert caught.value.param == "tools"
        wrong: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "y"}}}
        with pytest.raises(BadRequestError) as refused:
            await client.chat.completions.create(model=MODEL, messages=SUM, response_format=wrong)
        assert refused.value.code == "request_refused"
