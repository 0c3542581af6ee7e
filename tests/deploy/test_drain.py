"""The end of a server: bounded, its books closed, and every open stream told the truth."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.crash.books import ledger_of
from tests.deploy.clients import Load
from tests.deploy.instances import address_of, end, instance, shared_socket, well
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import MODEL, answer_text, openrouter_environ, sse_events
from tests.redis_server import PATIENTLY, RedisServer


@pytest.mark.parametrize("with_redis", [True, False], ids=["Redis", "alone"])
async def test_a_stream_that_does_not_finish_in_time_ends_with_what_can_be_done(
    tmp_path: Path, openrouter: FakeOpenRouter, redis_server: RedisServer, with_redis: bool
) -> None:
    openrouter.script(Reply(content=["Hel", "lo"], stall_after=1))
    environ = {**openrouter_environ(openrouter), "CHUK_SHUTDOWN_GRACE": "0.3"}
    if with_redis:
        environ |= {"REDIS_URL": redis_server.url, **PATIENTLY}
    async with (
        shared_socket() as sockets,
        AsyncExitStack() as running,
        aiohttp.ClientSession() as client,
    ):
        old = await running.enter_async_context(instance("old", tmp_path, sockets, environ))
        await well(old)
        load = Load(address_of(sockets), tmp_path / "data", client)
        headers = load.bearer()
        body = {"model_id": MODEL, "message": "Hello"}
        async with client.post(f"{load.url}/v1/ai/chat", json=body, headers=headers) as answer:
            await openrouter.wait_until(
                lambda: bool(openrouter.completions) and openrouter.completions[0].pieces_sent == 1
            )
            end(old)
            told = sse_events(await answer.read())
        assert await old.ended() == 0
        assert await old.errors() == []
        error = told[-1]["error"]
        assert error["code"] == "SERVICE_UNAVAILABLE" and answer_text(told[:-1]) == "Hel"
        stream = told[0]["stream"]["id"]
        assert error["details"] == {"stream": stream, "resumable": with_redis}

        new = await running.enter_async_context(instance("new", tmp_path, sockets, environ))
        await well(new)
        status, again = await read_again(load, stream, headers)
        if with_redis:
            assert (status, again) == (HTTPStatus.OK, told)
        else:
            assert status == HTTPStatus.NOT_FOUND
    async with ledger_of(tmp_path / "data") as ledger:
        assert await ledger.verify() == []


async def read_again(load: Load, stream: str, headers: dict[str, str]) -> tuple[int, list[Any]]:
    """What the stream holds by now, at whoever serves."""
    address = f"{load.url}/v1/ai/chat/streams/{stream}"
    async with load.client.get(address, headers=headers) as answer:
        return answer.status, sse_events(await answer.read())


async def test_who_comes_while_nobody_serves_waits_for_the_next_one(
    tmp_path: Path, openrouter: FakeOpenRouter
) -> None:
    environ = openrouter_environ(openrouter)
    async with shared_socket() as sockets, aiohttp.ClientSession() as client:
        async with instance("first", tmp_path, sockets, environ) as first:
            await first.heard("READY=1")
            end(first)
            assert await first.ended() == 0
        asking = asyncio.create_task(status_of(client, address_of(sockets)))
        async with instance("second", tmp_path, sockets, environ) as second:
            await second.heard("READY=1")
            # Alone it serves at once, also before it has its models: then it says so.
            assert await asking in (HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE)


async def status_of(client: aiohttp.ClientSession, url: str) -> int:
    """Of `/health`."""
    async with client.get(f"{url}/health") as answer:
        return answer.status


async def test_a_server_tells_how_it_is_from_beginning_to_end(
    tmp_path: Path, openrouter: FakeOpenRouter
) -> None:
    environ = openrouter_environ(openrouter)
    async with (
        shared_socket() as sockets,
        instance("only", tmp_path, sockets, environ, watchdog=0.2) as only,
    ):
        await only.heard("READY=1")
        only.words.clear()
        await only.heard("WATCHDOG=1")
        only.hang_up()
        await only.heard("RELOADING=1")
        await only.heard("READY=1")
        end(only)
        await only.heard("STOPPING=1")
        # And for as long as it drains.
        assert await only.ended() == 0
