"""A client that does not give up: it comes back until it has the whole answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from tests.harness import MODEL

_MOST_CONNECTIONS = 40
_LOST = (aiohttp.ClientError, ConnectionError)
_TEXT = aiohttp.WSMsgType.TEXT


class NeverWhole(Exception):
    """So many connections were not enough."""


async def read_over_sse(url: str, headers: dict[str, str], key: str, message: str) -> list[Any]:
    """Every event of one turn, the end as the text `[DONE]`.

    Until the answer's name is known the request is repeated under its key; from then on the rest
    is asked for.
    """
    events: list[Any] = []
    last = ""
    for _ in range(_MOST_CONNECTIONS):
        try:
            async with aiohttp.ClientSession(headers=headers) as client:
                if last:
                    stream = last.partition(":")[0]
                    answer = client.get(
                        f"{url}/v1/ai/chat/streams/{stream}", headers={"Last-Event-ID": last}
                    )
                else:
                    answer = client.post(
                        f"{url}/v1/ai/chat",
                        json={"model_id": MODEL, "message": message},
                        headers={"Idempotency-Key": key},
                    )
                async with answer as response:
                    assert response.status == 200, await response.text()
                    async for event_id, data in _blocks(response.content):
                        events.append(data if data == "[DONE]" else json.loads(data))
                        last = event_id or last
                        if data == "[DONE]":
                            return events
        except _LOST:
            continue
    raise NeverWhole(f"{len(events)} events")


async def read_over_socket(url: str, headers: dict[str, str], key: str, message: str) -> list[Any]:
    """The same over WebSockets; the end is `{"done": true}`."""
    events: list[Any] = []
    stream = None
    for _ in range(_MOST_CONNECTIONS):
        if stream:
            asked = {"type": "resume", "stream": stream, "after": len(events), "id": key}
        else:
            asked = {"model_id": MODEL, "message": message, "id": key, "idempotent": True}
        try:
            async with (
                aiohttp.ClientSession(headers=headers) as client,
                client.ws_connect(f"{url}/v1/ai/chat/ws") as socket,
            ):
                await socket.send_json(asked)
                async for received in socket:
                    assert received.type is _TEXT, received
                    event = json.loads(received.data)
                    assert event.pop("id") == key, event
                    events.append(event)
                    stream = event.get("stream", {}).get("id", stream)
                    if "done" in event or "error" in event:
                        return events
        except _LOST:
            continue
    raise NeverWhole(f"{len(events)} events")


async def _blocks(content: aiohttp.StreamReader) -> AsyncIterator[tuple[str, str]]:
    """The id and the data of each event that came whole."""
    rest = b""
    while chunk := await content.readany():
        *blocks, rest = (rest + chunk).split(b"\n\n")
        for block in blocks:
            lines = dict(line.split(b": ", 1) for line in block.split(b"\n") if line[:1] != b":")
            if b"data" in lines:
                yield lines.get(b"id", b"").decode(), lines[b"data"].decode()
