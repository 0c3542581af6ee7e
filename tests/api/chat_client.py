"""Chat requests in every form, and the events of their answers with all that SSE says of them."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.harness import MODEL, RunningServer, sse_events


async def post(
    server: RunningServer, *, headers: dict[str, str] | None = None, **options: Any
) -> tuple[int, Any]:
    """The status, and the events of the stream or the JSON of the error."""
    async with server.client.post(
        f"{server.url}/v1/ai/chat", headers={**server.bearer(), **(headers or {})}, **options
    ) as response:
        body = await response.read()
        if response.status == 200:
            return 200, sse_events(body)
        return response.status, json.loads(body)


async def post_fields(server: RunningServer, **fields: Any) -> tuple[int, Any]:
    """The same for JSON fields beside a model and a message."""
    body = json.dumps({"model_id": MODEL, "message": "Hello", **fields}).encode()
    # Not as bytes: the client warns of large ones.
    return await post(server, data=io.BytesIO(body), headers={"Content-Type": "application/json"})


def multipart(fields: dict[str, str]) -> aiohttp.FormData:
    """The fields as a multipart form."""
    return aiohttp.FormData(fields, default_to_multipart=True)


@dataclass(frozen=True)
class Block:
    """One block of an SSE body: an event, or a comment."""

    id: str | None
    data: Any
    comment: str | None = None


def sse_blocks(body: bytes) -> list[Block]:
    """Every block of a whole body, strictly: nothing is passed over, and it ends cleanly."""
    assert body.endswith(b"\n\n")
    blocks: list[Block] = []
    for text in body.decode("utf-8").removesuffix("\n\n").split("\n\n"):
        if text.startswith(":"):
            assert "\n" not in text
            blocks.append(Block(None, None, text[1:].strip()))
            continue
        *head, last = text.split("\n")
        assert last.startswith("data: ") and len(head) <= 1
        identity = None
        if head:
            assert head[0].startswith("id: ")
            identity = head[0].removeprefix("id: ")
        data = last.removeprefix("data: ")
        blocks.append(Block(identity, data if data == "[DONE]" else json.loads(data)))
    return blocks
