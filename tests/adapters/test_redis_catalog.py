"""The model list that one process fetches for all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import aiohttp
import pytest

from chuk.adapters.openrouter_catalog import OpenRouterModels
from chuk.adapters.redis.catalog import SharedModelSource
from chuk.adapters.redis.connection import RedisConnection
from chuk.api.keys import CATALOG
from chuk.catalog.ports import CatalogUnavailable
from chuk.catalog.selection import Selection
from chuk.catalog.service import Catalog
from tests.conftest import StartServer
from tests.fakes.openrouter import FakeOpenRouter, Fault
from tests.harness import eventually
from tests.redis_server import RedisServer

NOTHING_BLOCKED = Selection()


@asynccontextmanager
async def process(
    server: RedisServer,
    openrouter: FakeOpenRouter,
    *,
    origin: str = "openrouter",
    selection: Selection = NOTHING_BLOCKED,
    patience: float = 30,
    longest_fetch: float = 30,
) -> AsyncIterator[SharedModelSource]:
    """The source of one process; it looks often whether Redis is back."""
    connection = RedisConnection(server.url, timeout=5, look_interval=0.01)
    try:
        async with aiohttp.ClientSession() as session:
            yield SharedModelSource(
                OpenRouterModels(
                    session,
                    base_url=openrouter.base_url,
                    api_key=openrouter.api_key,
                    selection=selection,
                ),
                connection,
                origin=origin,
                selection=selection,
                fresh_for=600,
                patience=patience,
                longest_fetch=longest_fetch,
                pause=0.05,
            )
    finally:
        await connection.close()


def fetches(openrouter: FakeOpenRouter) -> int:
    """How often the fake was asked for its list."""
    return sum(request.path == "/models" for request in openrouter.requests)


async def test_processes_that_ask_at_once_fetch_once(
    redis_server: RedisServer, openrouter: FakeOpenRouter
) -> None:
    async with (
        process(redis_server, openrouter) as a,
        process(redis_server, openrouter) as b,
        process(redis_server, openrouter) as c,
    ):
        lists = await asyncio.gather(*(each.fetch([]) for each in (a, b, c)))
        assert fetches(openrouter) == 1
        assert a.fetches + b.fetches + c.fetches == 1
        assert lists[0] and lists[0] == lists[1] == lists[2]


async def test_a_list_that_is_not_fresh_is_fetched_anew_by_one(
    redis_server: RedisServer, openrouter: FakeOpenRouter
) -> None:
    async with process(redis_server, openrouter) as a, process(redis_server, openrouter) as b:
        before = await a.fetch([])
        assert await b.fetch([]) == before
        # While it is fresh, the very same list.
        assert await a.fetch(before) is before
        openrouter.models.remove(openrouter.model(before[-1].id))
        with redis_server.client() as client:
            client.flushall()
        after = await asyncio.gather(a.fetch(before), b.fetch(before))
        assert fetches(openrouter) == 2
        assert len(after[0]) < len(before)
        assert after[0] == after[1]


async def test_processes_that_offer_other_models_share_no_list(
    redis_server: RedisServer, openrouter: FakeOpenRouter
) -> None:
    others = Selection(allow=("qwen/*",))
    async with (
        process(redis_server, openrouter) as a,
        process(redis_server, openrouter, selection=others) as b,
        process(redis_server, openrouter, origin="elsewhere") as c,
    ):
        lists = [await each.fetch([]) for each in (a, b, c)]
    assert fetches(openrouter) == 3
    assert len(lists[1]) < len(lists[0])


async def test_while_redis_is_away_each_process_fetches_for_itself(
    redis_server: RedisServer, openrouter: FakeOpenRouter
) -> None:
    async with process(redis_server, openrouter) as a, process(redis_server, openrouter) as b:
        before = await a.fetch([])
        redis_server.stop()
        # It has a list that is fresh.
        assert await a.fetch(before) is before
        assert await b.fetch([]) == before
        assert fetches(openrouter) == 2
        assert await b.fetch(before) == before
        assert fetches(openrouter) == 2


async def test_a_fetcher_that_died_is_replaced(
    redis_server: RedisServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.fail("/models", Fault(hang=True))
    async with process(redis_server, openrouter, longest_fetch=0.1) as a:
        dying = asyncio.create_task(a.fetch([]))
        await openrouter.wait_until(lambda: fetches(openrouter) == 1)
        openrouter.mend()
        async with process(redis_server, openrouter) as b:
            assert await b.fetch([])
        openrouter.release.set()
        dying.cancel()
        await asyncio.wait([dying])


async def test_nobody_waits_for_ever_for_another_process(
    redis_server: RedisServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.fail("/models", Fault(hang=True))
    async with process(redis_server, openrouter) as a:
        hanging = asyncio.create_task(a.fetch([]))
        await openrouter.wait_until(lambda: fetches(openrouter) == 1)
        openrouter.mend()
        async with process(redis_server, openrouter, patience=0.05) as b:
            assert await b.fetch([])
        openrouter.release.set()
        hanging.cancel()
        await asyncio.wait([hanging])


async def test_after_a_failure_no_process_asks_again_at_once(
    redis_server: RedisServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.fail("/models", Fault(status=500))
    async with process(redis_server, openrouter) as a, process(redis_server, openrouter) as b:
        with pytest.raises(CatalogUnavailable):
            await a.fetch([])
        failed = fetches(openrouter)
        waiting = asyncio.create_task(b.fetch([]))
        # The key by which it is told to wait ends by itself.
        with redis_server.client() as client:
            assert [key for key in client.keys("*") if client.ttl(key) > 1] == []
        openrouter.mend()
        assert await waiting
        assert fetches(openrouter) == failed + 1


async def test_what_redis_holds_and_nobody_can_read_is_fetched_anew(
    redis_server: RedisServer, openrouter: FakeOpenRouter
) -> None:
    async with process(redis_server, openrouter) as a, process(redis_server, openrouter) as b:
        before = await a.fetch([])
        with redis_server.client() as client:
            (key,) = client.keys("*:list")
            client.set(key, b"{}")
        assert await b.fetch([]) == before
        assert fetches(openrouter) == 2


async def test_two_servers_ask_openrouter_once(
    start_server: StartServer, redis_server: RedisServer, openrouter: FakeOpenRouter
) -> None:
    environ = {"REDIS_URL": redis_server.url}
    async with start_server(**environ) as one, start_server(**environ) as other:
        assert fetches(openrouter) == 1
        for server in (one, other):
            async with server.client.get(f"{server.url}/v1/models_info") as answer:
                assert await answer.json()
        assert len(await other.chat()) > 1


async def test_a_new_list_reaches_every_server(
    start_server: StartServer, redis_server: RedisServer, openrouter: FakeOpenRouter
) -> None:
    environ = {"REDIS_URL": redis_server.url, "CHUK_UPSTREAM_CATALOG_REFRESH": "0.3"}
    async with start_server(**environ) as one, start_server(**environ) as other:
        catalogs = [server.app[CATALOG] for server in (one, other)]
        gone = catalogs[0].models[-1].id
        openrouter.models.remove(openrouter.model(gone))
        for catalog in catalogs:
            while gone in {model.id for model in catalog.models}:
                await eventually(partial(is_another, catalog, catalog.version))


def is_another(catalog: Catalog, version: str) -> bool:
    """Whether the list has changed since."""
    return catalog.version != version
