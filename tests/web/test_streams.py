"""An SSE answer, whatever HTTP its client speaks."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web

from chuk.accounts.issuer import DEFAULT_USER
from chuk.api.keys import LEDGER, TURNS
from chuk.chat.events import Content, Failed, Meta, Started
from chuk.errors import ServiceUnavailable
from chuk.web.envelope import Profile
from chuk.web.keys import CONNECTIONS
from chuk.web.streams import SseSubscriber
from tests.api.chat_client import sse_blocks
from tests.api.slow_reader import HeldBack, SlowReader
from tests.conftest import StartServer
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import MODEL, RunningServer, eventually
from tests.raw_http import raw_connection, request_bytes


def chat_request(server: RunningServer) -> bytes:
    """One turn, as bytes."""
    body = json.dumps({"model_id": MODEL, "message": "Hello"}).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    return request_bytes("POST", "/v1/ai/chat", {**server.bearer(), **headers}, body)


@pytest.mark.parametrize("more", [b"", b"Connection: keep-alive\r\n"], ids=["plain", "keep alive"])
async def test_http_1_0_gets_a_body_that_ends_with_the_connection(
    server: RunningServer, more: bytes
) -> None:
    # Proxies speak it to their upstreams by default.
    request = chat_request(server).replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n" + more, 1)
    async with raw_connection(server.url) as connection:
        await connection.send(request)
        answer = await connection.answer()
    assert answer.status == 200 and "transfer-encoding" not in answer.headers
    assert answer.header("Connection") == "close"
    assert sse_blocks(answer.body)[-1].data == "[DONE]"


async def test_one_connection_serves_one_stream_after_the_other(server: RunningServer) -> None:
    async with raw_connection(server.url) as connection:
        # Both at once: the second waits for the first.
        await connection.send(chat_request(server) * 2)
        bodies = [(await connection.answer()).body for _ in range(2)]
    streams = [sse_blocks(body) for body in bodies]
    assert [blocks[-1].data for blocks in streams] == ["[DONE]", "[DONE]"]
    assert streams[0][0].data != streams[1][0].data


async def half_told(request: web.Request) -> web.StreamResponse:
    """What a turn does that is stopped before it waits for its answer's beginning."""
    with request.config_dict[CONNECTIONS].open(request.transport) as connection:
        subscriber = SseSubscriber(
            request, connection, profile=Profile.ENVELOPE, ping_interval=15.0
        )
        never_waited_for = subscriber.deliver(1, [Started("s"), Meta("m", "p", False)])
        assert never_waited_for is not None
        wait = subscriber.deliver(3, [Content([b"a"]), Failed(ServiceUnavailable())])
        assert wait is not None
        await wait()
        # Whoever waits for the beginning after all changes nothing.
        await never_waited_for()
    return subscriber.response


async def test_a_beginning_that_nobody_waited_for_comes_with_what_follows(
    start_server: StartServer,
) -> None:
    def hang(app: web.Application) -> None:
        app.router.add_get("/half-told", half_told)

    async with (
        start_server(prepare=hang) as server,
        server.client.get(f"{server.url}/half-told") as response,
    ):
        blocks = sse_blocks(await response.read())
    assert [block.id for block in blocks] == ["s:1", "s:2", "s:3", "s:4"]
    assert [list(block.data) for block in blocks] == [["stream"], ["meta"], ["content"], ["error"]]


@pytest.mark.parametrize("by", ["shutdown", "user"])
async def test_a_turn_stopped_while_its_client_reads_nothing_ends_its_body_once(
    server: RunningServer, openrouter: FakeOpenRouter, by: str
) -> None:
    openrouter.script(Reply(content=["x" * 8_192] * 4_000))
    turns, ledger = server.app[TURNS], server.app[LEDGER]
    async with SlowReader(server) as client:
        await eventually(HeldBack(openrouter), timeout=20)
        if by == "shutdown":
            draining = asyncio.create_task(turns.drain(0))
        else:
            draining = asyncio.create_task(turns.stopped(DEFAULT_USER))
        while not await ledger.receipts(DEFAULT_USER, before=None, limit=1):
            pass
        # Written behind the end of its books, which its last words follow at once.
        await server.fund(1)
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            received += await client.read()
        await draining
        await client.send(request_bytes("GET", "/health"))
        assert (await client.read()).startswith(b"HTTP/1.1 ")
    assert received.count(b"\r\n0\r\n\r\n") == 1
    end = b'data: {"error":' if by == "shutdown" else b"data: [DONE]"
    assert end in received[-400:]
