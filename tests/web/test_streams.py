"""An SSE answer, whatever HTTP its client speaks."""

from __future__ import annotations

import json

from tests.api.chat_client import sse_blocks
from tests.harness import MODEL, RunningServer
from tests.raw_http import raw_connection, request_bytes


def chat_request(server: RunningServer) -> bytes:
    """One turn, as bytes."""
    body = json.dumps({"model_id": MODEL, "message": "Hello"}).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    return request_bytes("POST", "/v1/ai/chat", {**server.bearer(), **headers}, body)


async def test_http_1_0_gets_a_body_that_ends_with_the_connection(server: RunningServer) -> None:
    # Proxies speak it to their upstreams by default.
    async with raw_connection(server.url) as connection:
        await connection.send(chat_request(server).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        answer = await connection.answer()
    assert answer.status == 200 and "transfer-encoding" not in answer.headers
    assert sse_blocks(answer.body)[-1].data == "[DONE]"


async def test_one_connection_serves_one_stream_after_the_other(server: RunningServer) -> None:
    async with raw_connection(server.url) as connection:
        # Both at once: the second waits for the first.
        await connection.send(chat_request(server) * 2)
        bodies = [(await connection.answer()).body for _ in range(2)]
    streams = [sse_blocks(body) for body in bodies]
    assert [blocks[-1].data for blocks in streams] == ["[DONE]", "[DONE]"]
    assert streams[0][0].data != streams[1][0].data
