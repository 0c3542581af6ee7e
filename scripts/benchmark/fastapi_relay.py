"""What one would write otherwise: FastAPI, httpx and sse-starlette on uvicorn.

Run as a program: `python -m benchmark.fastapi_relay PORT UPSTREAM_URL`. It reads the upstream's
events with `json` and sends on the same events as this project's server does. It checks no
token, counts no limit and prices nothing, which is to its advantage.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from pydantic import BaseModel
from sse_starlette import EventSourceResponse


class Ask(BaseModel):
    """The body of a chat request."""

    model_id: str
    message: str
    provider_slug: str | None = None
    max_tokens: int = 4096
    temperature: float = 0.7


def make_application(upstream_url: str) -> FastAPI:
    """The relay in front of this upstream."""
    upstream = httpx.AsyncClient(
        timeout=httpx.Timeout(120),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
        trust_env=False,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with upstream:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/v1/ai/chat")
    async def chat(ask: Ask) -> EventSourceResponse:
        return EventSourceResponse(_numbered(_events(upstream, upstream_url, ask)))

    @app.websocket("/v1/ai/chat/ws")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                ask = Ask.model_validate_json(await websocket.receive_text())
                async for event in _events(upstream, upstream_url, ask):
                    await websocket.send_text(event)
        except WebSocketDisconnect:
            return

    return app


async def _numbered(events: AsyncIterator[str]) -> AsyncIterator[dict[str, str]]:
    stream_id, number = uuid.uuid4().hex, 0
    async for event in events:
        number += 1
        yield {"id": f"{stream_id}:{number}", "data": event}


async def _events(upstream: httpx.AsyncClient, url: str, ask: Ask) -> AsyncIterator[str]:
    body = {
        "model": ask.model_id,
        "messages": [{"role": "user", "content": ask.message}],
        "max_tokens": ask.max_tokens,
        "temperature": ask.temperature,
        "stream": True,
        "provider": {"only": [ask.provider_slug]},
    }
    first = 0.0
    tokens = 0
    yield json.dumps({"stream": {"id": uuid.uuid4().hex}})
    async with upstream.stream("POST", f"{url}/chat/completions", json=body) as answer:
        async for line in answer.aiter_lines():
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            chunk = json.loads(line[6:])
            content = chunk["choices"][0]["delta"].get("content")
            if content:
                tokens += 1
                first = first or time.monotonic()
                yield json.dumps({"content": content})
            if usage := chunk.get("usage"):
                yield json.dumps({"usage": usage})
    yield json.dumps({"meta": {"model": ask.model_id, "provider": ask.provider_slug}})
    yield json.dumps({"tps": round(tokens / (time.monotonic() - first + 1e-9), 1)})
    yield "[DONE]"


if __name__ == "__main__":
    uvicorn.run(
        make_application(sys.argv[2]),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        backlog=4096,
    )
