"""A new release takes the listening socket over while the old one drains, and nobody notices."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from http import HTTPStatus
from pathlib import Path

import aiohttp
import pytest

from tests.crash.books import ledger_of
from tests.deploy.clients import under_load
from tests.deploy.instances import Instance, address_of, end, instance, shared_socket, well
from tests.fakes.openrouter import FakeOpenRouter, Fault, Reply
from tests.harness import answer_text, openrouter_environ
from tests.redis_server import PATIENTLY, RedisServer
from tests.watch.test_site import ENOUGH, free_port, text_at
from tests.watch.traffic import value

PATIENCE = 30.0


async def tellers(port: int) -> set[float]:
    """When they have begun who answer at the port of the numbers, over many connections."""
    begun = set()
    async with aiohttp.ClientSession() as client:
        for _ in range(ENOUGH):
            text, _ = await text_at(client, port, Connection="close")
            begun.add(value(text, "process_start_time_seconds"))
    return begun


async def first_health(of: Instance) -> int:
    """What it says of itself as soon as it says anything."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(aiohttp.ClientConnectorError):
                return await of.health()


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
    port = free_port()
    own = {**openrouter_environ(openrouter), "CHUK_METRICS_PORT": str(port)}
    environ = {**own, **environ}
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
            (before,) = await tellers(port)
            new = await running.enter_async_context(
                instance("new", folder, sockets, environ, options=options)
            )
            await new.heard("READY=1")
            assert await new.health() == HTTPStatus.OK
            end(old)
            await old.heard("STOPPING=1")
            # The numbers are of who takes over, from the first moment on.
            (after,) = await tellers(port)
            assert after > before
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


async def test_until_it_is_of_use_a_new_server_tells_no_numbers(
    tmp_path: Path, openrouter: FakeOpenRouter
) -> None:
    port = free_port()
    environ = {**openrouter_environ(openrouter), "CHUK_METRICS_PORT": str(port)}
    async with shared_socket() as sockets, AsyncExitStack() as running:
        old = await running.enter_async_context(instance("old", tmp_path, sockets, environ))
        await well(old)
        (before,) = await tellers(port)
        # Without a list of models, and with none to be had, it is of no use yet.
        (tmp_path / "data/catalog.json").unlink()
        openrouter.fail("/models", Fault(hang=True))
        new = await running.enter_async_context(instance("new", tmp_path, sockets, environ))
        assert await first_health(new) != HTTPStatus.OK
        assert await tellers(port) == {before}
        openrouter.mend()
        openrouter.release.set()
        await new.heard("READY=1")
        end(old)
        await old.heard("STOPPING=1")
        assert before not in await tellers(port)
        end(new)
        assert (await old.ended(), await new.ended()) == (0, 0)
