"""Several processes serve one address, and no client notices when one of them goes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
import pytest_asyncio

from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import MODEL, eventually, sse_events
from tests.redis_server import RedisServer
from tests.supervision.crews import HOST, Crew, all_gone, below, crew, of_module

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(
    tmp_path_factory: pytest.TempPathFactory, _redis_of_this_run: RedisServer
) -> AsyncIterator[Crew]:
    """Two workers, for tests that leave two behind."""
    _redis_of_this_run.empty()
    async with (
        FakeOpenRouter() as openrouter,
        crew(tmp_path_factory.mktemp("pair"), openrouter, _redis_of_this_run) as running,
    ):
        yield running


@asynccontextmanager
async def clients(of: Crew) -> AsyncIterator[list[int]]:
    """Clients that connect all the time; the statuses they got. None of them may fail."""
    statuses: list[int] = []

    async def come_and_go() -> None:
        while True:
            statuses.append(await of.status())

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(come_and_go()) for _ in range(4)]
        yield statuses
        for task in tasks:
            task.cancel()


async def more(statuses: list[int], number: int = 40) -> None:
    """Wait until so many more are there."""
    enough = len(statuses) + number
    await eventually(lambda: len(statuses) >= enough, timeout=15)


async def replaced(of: Crew, gone: set[int]) -> None:
    """Wait until two workers serve, none of whom is one of these."""
    await eventually(lambda: len(of.workers() - gone) == 2 and not of.workers() & gone, timeout=20)


async def test_there_are_as_many_workers_as_asked_for_and_one_host(pair: Crew) -> None:
    processes = below(pair.server.process.pid)
    assert len(pair.workers()) == 2
    assert len(of_module(HOST, processes)) == 1
    assert len(processes) == 3


async def test_a_killed_worker_is_back_and_the_other_one_serves_meanwhile(pair: Crew) -> None:
    before = pair.workers()
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    await all_gone({victim: None})
    async with clients(pair) as statuses:
        await replaced(pair, {victim})
        await more(statuses)
    assert set(statuses) == {200}
    (other,) = pair.workers() & before
    os.kill(other, signal.SIGKILL)
    await all_gone({other: None})
    assert await pair.status() == 200
    await replaced(pair, before)


async def test_nobody_notices_when_a_worker_is_asked_to_end(pair: Crew) -> None:
    asked = max(pair.workers())
    async with clients(pair) as statuses:
        await more(statuses)
        os.kill(asked, signal.SIGTERM)
        await replaced(pair, {asked})
        await more(statuses)
    assert set(statuses) == {200}


async def test_nobody_notices_when_all_are_replaced(pair: Crew) -> None:
    before = pair.workers()
    pair.openrouter.script(Reply(content=["Hel", "lo"], stall_after=1))
    body = {"model_id": MODEL, "message": "Hello"}
    async with clients(pair) as statuses:
        async with pair.client.post(
            f"{pair.url}/v1/ai/chat", json=body, headers=pair.bearer()
        ) as answer:
            assert answer.status == 200, await answer.text()
            await pair.openrouter.wait_until(lambda: pair.openrouter.open_completions == 1)
            pair.server.process.send_signal(signal.SIGHUP)
            await eventually(lambda: len(pair.workers()) == 3, timeout=15)
            await more(statuses)
            pair.openrouter.release.set()
            events = sse_events(await answer.read())
        assert events[-1] == "[DONE]"
        await replaced(pair, before)
        await more(statuses)
    assert set(statuses) == {200}


async def test_a_connection_that_is_kept_is_given_back_by_who_leaves(pair: Crew) -> None:
    before = pair.workers()
    async with aiohttp.ClientSession() as lasting:
        async with lasting.get(f"{pair.url}/health") as answer:
            assert "Connection" not in answer.headers
        pair.server.process.send_signal(signal.SIGHUP)
        await replaced(pair, before)
        async with lasting.get(f"{pair.url}/health") as answer:
            assert answer.status == 200
