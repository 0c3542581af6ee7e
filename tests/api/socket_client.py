"""What tests of the chat socket say and expect."""

from __future__ import annotations

from typing import Any

import aiohttp
from aiohttp import WSMsgType

from tests.fakes.openrouter import Reply
from tests.harness import MODEL, turn_events

STALLING = Reply(content=["a", "b"], stall_after=1)
NOBODY: dict[str, str] = {}


def message(text: str = "Hello", **fields: Any) -> dict[str, Any]:
    """One turn."""
    return {"model_id": MODEL, "message": text, **fields}


async def refused(socket: aiohttp.ClientWebSocketResponse) -> str:
    """The code of the next event, which must be an error in the usual profile."""
    event = await socket.receive_json(timeout=30)
    assert list(event) == ["error"]
    assert list(event["error"]) == ["code", "message", "details"]
    code: str = event["error"]["code"]
    return code


async def closed_with(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    """The close code, once nothing else comes before it."""
    frame = await socket.receive(timeout=30)
    assert frame.type in (WSMsgType.CLOSE, WSMsgType.CLOSED), frame
    return socket.close_code


async def is_alive(socket: aiohttp.ClientWebSocketResponse) -> bool:
    """Whether a ping is answered."""
    await socket.send_json({"type": "ping"})
    return bool(await socket.receive_json(timeout=30) == {"type": "pong"})


async def chats(socket: aiohttp.ClientWebSocketResponse, **fields: Any) -> bool:
    """Whether a turn goes well."""
    await socket.send_json(message(**fields))
    return "done" in (await turn_events(socket))[-1]
