"""Clients that lose their connection and come back, over either transport."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp

from tests.harness import MODEL, RunningServer

BODY = {"model_id": MODEL, "message": "Hello"}


async def cut_after(server: RunningServer, frames: int, **fields: Any) -> bytes:
    """Ask over SSE, read this many whole frames (or the whole answer), and cut the connection."""
    async with server.client.post(
        f"{server.url}/v1/ai/chat", json={**BODY, **fields}, headers=server.bearer()
    ) as answer:
        assert answer.status == 200, await answer.text()
        received = b""
        async with asyncio.timeout(30):
            while received.count(b"\n\n") < frames:
                if not (chunk := await answer.content.readany()):
                    break
                received += chunk
        answer.close()
    return b"".join(block + b"\n\n" for block in received.split(b"\n\n")[:-1][:frames])


async def whole(server: RunningServer, **fields: Any) -> bytes:
    """The body of an answer that nothing cuts."""
    return await cut_after(server, 1_000_000, **fields)


def stream_of(body: bytes) -> str:
    """The name of the stream that a body begins."""
    line = body.split(b"\n", 1)[0].decode()
    assert line.startswith("id: ") and line.endswith(":1")
    return line[4:-2]


def last_id(body: bytes) -> str | None:
    """What an EventSource would send as `Last-Event-ID`."""
    ids = [line[4:] for line in body.decode().split("\n") if line.startswith("id: ")]
    return ids[-1] if ids else None


async def resumed(
    server: RunningServer,
    stream: str,
    *,
    last: str | None = None,
    after: int | str | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, bytes]:
    """The status and the body of an answer that is taken up again."""
    url = f"{server.url}/v1/ai/chat/streams/{stream}"
    sent = dict(server.bearer() if headers is None else headers)
    if last is not None:
        sent["Last-Event-ID"] = last
    params = {} if after is None else {"after": str(after)}
    async with server.client.get(url, params=params, headers=sent) as answer:
        async with asyncio.timeout(30):
            return answer.status, await answer.read()


def code_of(body: bytes) -> str:
    """The code of an error that is no stream."""
    code: str = json.loads(body)["error"]["code"]
    return code


async def listed(server: RunningServer, headers: dict[str, str] | None = None) -> list[Any]:
    """One's own streams."""
    async with server.client.get(
        f"{server.url}/v1/ai/chat/streams", headers=headers or server.bearer()
    ) as answer:
        assert answer.status == 200
        streams: list[Any] = (await answer.json())["data"]["streams"]
        return streams


async def stopped(
    server: RunningServer, stream: str, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """The status and the JSON of a `DELETE`."""
    async with server.client.delete(
        f"{server.url}/v1/ai/chat/streams/{stream}", headers=headers or server.bearer()
    ) as answer:
        return answer.status, await answer.json()


async def receive(socket: aiohttp.ClientWebSocketResponse) -> Any:
    """The next event of a socket."""
    return await socket.receive_json(timeout=30)
