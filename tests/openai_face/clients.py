"""OpenAI's client, and what it is asked in many tests."""

from __future__ import annotations

import base64
from typing import Any

from openai import AsyncOpenAI

from tests.harness import RunningServer

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
PNG_URL = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(8)).decode()
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


def client_of(server: RunningServer, **options: Any) -> AsyncOpenAI:
    """A client as people make it; it tries nothing twice unless a test says so."""
    options.setdefault("api_key", server.token())
    options.setdefault("max_retries", 0)
    return AsyncOpenAI(base_url=f"{server.url}/v1", **options)


async def receipts_of(server: RunningServer) -> list[Any]:
    """What the default user has paid for, the newest first."""
    async with server.client.get(f"{server.url}/v1/user/usage", headers=server.bearer()) as answer:
        receipts: list[Any] = (await answer.json())["data"]["receipts"]
        return receipts
