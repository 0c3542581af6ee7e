"""Several workers have one port for their numbers, which stays while workers come and go."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from tests.fakes.openrouter import FakeOpenRouter
from tests.redis_server import RedisServer
from tests.supervision.crews import Crew, crew
from tests.watch.test_site import free_port, text_at
from tests.watch.traffic import samples, value

PATIENCE = 300


async def once(client: aiohttp.ClientSession, port: int, is_so: Callable[[str], bool]) -> str:
    """The numbers, as soon as this is so."""
    for _ in range(PATIENCE):
        text, _ = await text_at(client, port)
        if is_so(text):
            return text
    raise AssertionError(text)


def processes(text: str) -> set[str]:
    """The workers' processes that say their numbers."""
    return {each["process"] for each in samples(text)["chuk_ready"]}


async def replaced(running: Crew, port: int) -> None:
    """Let all workers be replaced, and see the new ones on the same port."""
    before = processes((await text_at(running.client, port))[0])
    running.server.process.send_signal(signal.SIGHUP)
    text = await once(
        running.client,
        port,
        lambda text: len(processes(text)) == 2 and not processes(text) & before,
    )
    assert {each["worker"] for each in samples(text)["chuk_ready"]} == {"0", "1"}


async def test_one_port_tells_the_numbers_of_all_workers(
    tmp_path: Path, openrouter: FakeOpenRouter, redis_server: RedisServer
) -> None:
    port = free_port()
    environ = {"CHUK_METRICS_PORT": str(port)}
    async with crew(tmp_path, openrouter, redis_server, environ=environ) as running:
        text, _ = await text_at(running.client, port)
        assert processes(text) == set(map(str, running.workers()))
        for worker in ("0", "1"):
            assert value(text, "chuk_ready", worker=worker) == 1
            assert value(text, "process_resident_memory_bytes", worker=worker) > 0
        assert value(text, "chuk_leader") == 1
        assert value(text, "chuk_workers", worker="supervisor", state="ready") == 2
        assert value(text, "chuk_http_requests_total", route="/health", status="200") >= 16


@pytest.mark.slow
async def test_the_port_stays_while_workers_are_replaced(
    tmp_path: Path, openrouter: FakeOpenRouter, redis_server: RedisServer
) -> None:
    port = free_port()
    environ = {"CHUK_METRICS_PORT": str(port)}
    async with crew(tmp_path, openrouter, redis_server, environ=environ) as running:
        await replaced(running, port)
        assert value((await text_at(running.client, port))[0], "chuk_worker_deaths_total") == 0
