"""How a WebSocket ends: idle, too large, left by its client, or with the server."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

from aiohttp import WSCloseCode

from chuk.api.keys import TURNS
from tests.api.socket_client import STALLING, chats, closed_with, is_alive, message
from tests.conftest import StartServer
from tests.fakes.openrouter import FakeOpenRouter
from tests.harness import RunningServer, answer_text, eventually, turn_events


async def test_a_message_over_28_mb_is_refused_and_the_socket_lives(
    server: RunningServer,
) -> None:
    async with server.socket() as socket:
        await socket.send_str(json.dumps(message(history=["x" * 28_000_000])))
        event = await socket.receive_json(timeout=30)
        assert event["error"]["code"] == "FILE_TOO_LARGE"
        assert event["error"]["details"]["max_size_bytes"] == 28_000_000
        assert await chats(socket)


async def test_a_far_larger_message_closes_the_socket(server: RunningServer) -> None:
    async with server.socket() as socket:
        with suppress(ConnectionError):
            await socket.send_str("x" * 30_000_000)
        assert await closed_with(socket) in (WSCloseCode.MESSAGE_TOO_BIG, 1006)
    async with server.socket() as socket:
        assert await chats(socket)


async def test_an_idle_socket_is_closed_well_and_a_busy_one_is_not(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(STALLING)
    async with (
        start_server(CHUK_CHAT_SOCKET_IDLE_TIMEOUT="0.1") as server,
        server.socket() as busy,
    ):
        await busy.send_json(message())
        async with server.socket() as idle:
            assert await closed_with(idle) == WSCloseCode.OK
        openrouter.release.set()
        events = await turn_events(busy)
        assert answer_text(events) == "ab" and events[-1] == {"done": True}
        assert await closed_with(busy) == WSCloseCode.OK


async def test_a_draining_server_refuses_turns_but_not_the_socket(
    server: RunningServer,
) -> None:
    async with server.socket() as socket:
        server.app[TURNS].refuse_new()
        await socket.send_json(message(id=1))
        (event,) = await turn_events(socket)
        assert event["id"] == 1 and event["error"]["code"] == "SERVICE_UNAVAILABLE"
        assert await is_alive(socket)


async def test_a_server_that_goes_away_ends_turns_first_and_then_sockets(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(STALLING, STALLING)
    async with server.socket() as busy, server.socket() as idle:
        for identity in ("x", "y"):
            await busy.send_json(message(id=identity))
            while "content" not in await busy.receive_json():
                pass
        going = asyncio.create_task(server.runner.cleanup())
        rest = [frame.json() async for frame in busy]
        ends = [event for event in rest if "error" in event or "done" in event]
        assert sorted(event["id"] for event in ends) == ["x", "y"]
        assert {event["error"]["code"] for event in ends} == {"SERVICE_UNAVAILABLE"}
        assert busy.close_code == WSCloseCode.GOING_AWAY
        assert await closed_with(idle) == WSCloseCode.GOING_AWAY
        await going


async def test_a_client_that_closes_stops_all_its_turns_where_there_is_no_grace(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(STALLING, STALLING)
    async with start_server(CHUK_RESUME_GRACE="0") as server:
        tasks = asyncio.all_tasks()
        async with server.socket() as socket:
            for identity in (1, 2):
                await socket.send_json(message(id=identity))
            await openrouter.wait_for_completions(2)
            await socket.close()
        await openrouter.wait_for_disconnect(2)
        await eventually(lambda: asyncio.all_tasks() <= tasks)


async def test_the_health_page_counts_open_sockets(server: RunningServer) -> None:
    async def active() -> int:
        async with server.client.get(f"{server.url}/health") as response:
            count: int = (await response.json())["data"]["active_connections"]
            return count

    async with server.socket() as one, server.socket() as two:
        assert await is_alive(one) and await is_alive(two)
        assert await active() == 2
    async with asyncio.timeout(30):
        while await active():
            pass
