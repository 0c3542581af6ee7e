"""A new release takes the listening socket over while the old one drains, and nobody notices."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.crash.books import ledger_of
from tests.deploy.clients import under_load
from tests.deploy.instances import address_of, end, instance, shared_socket, well
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import answer_text, openrouter_environ
from tests.redis_server import PATIENTLY, RedisServer


async def upgrade(
    folder: Path,
    openrouter: FakeOpenRouter,
    environ: Mapping[str, str],
    *,
    options: tuple[str, ...] = (),
    clients: int,
    streams: int,
    rest: int,
) -> None:
    """Replace one server by another one, while streams are open and clients come."""
    released = asyncio.Event()
    for _ in range(streams * 2):
        openrouter.script(Reply(content=["lo", "ng"], gates={1: released}))
    environ = {**openrouter_environ(openrouter), **environ}
    async with shared_socket() as sockets, AsyncExitStack() as running:
        old = await running.enter_async_context(
            instance("old", folder, sockets, environ, options=options)
        )
        await old.heard("READY=1")
        await well(old)
        async with under_load(address_of(sockets), folder / "data", clients) as load_:
            early = [asyncio.create_task(load_.chat("long")) for _ in range(streams)]
            early += [asyncio.create_task(load_.socket_chat("long")) for _ in range(streams)]
            await openrouter.wait_until(lambda: len(openrouter.completions) >= streams * 2)
            load_.begin()
            await load_.more(rest)
            new = await running.enter_async_context(
                instance("new", folder, sockets, environ, options=options)
            )
            await new.heard("READY=1")
            assert await new.health() == HTTPStatus.OK
            end(old)
            await old.heard("STOPPING=1")
            await load_.more(rest)
            # It is not gone, for the sake of those who came before.
            assert old.process.returncode is None
            assert not any(stream.done() for stream in early)
            released.set()
            for events in await asyncio.gather(*early):
                assert answer_text(events[:-1]) == "long"
                assert events[-1] in ("[DONE]", {"done": True})
            assert await old.ended() == 0
            assert await old.errors() == []
            await load_.more(rest)
    async with ledger_of(folder / "data") as ledger:
        assert await ledger.verify() == []


async def test_an_upgrade_refuses_nobody_and_cuts_nothing(
    tmp_path: Path, openrouter: FakeOpenRouter
) -> None:
    await upgrade(tmp_path, openrouter, {}, clients=3, streams=2, rest=10)


@pytest.mark.slow
async def test_an_upgrade_of_workers_under_much_load_does_not_either(
    tmp_path: Path, openrouter: FakeOpenRouter, redis_server: RedisServer
) -> None:
    await upgrade(
        tmp_path,
        openrouter,
        {"REDIS_URL": redis_server.url, **PATIENTLY},
        options=("--workers", "2"),
        clients=16,
        streams=20,
        rest=200,
    )
