"""`DELETE /v1/user/delete-account` while pictures and recordings are being worked on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.conftest import StartServer
from tests.fakes.fal import FakeFal, FalJob
from tests.harness import RunningServer

IMAGE = "/v1/ai/generate-image"
FOX = {"prompt": "a fox", "custom_width": 96, "custom_height": 64}


@pytest.fixture
async def fal() -> AsyncIterator[FakeFal]:
    """A fake fal, running."""
    async with FakeFal() as fake:
        yield fake


@pytest.fixture
async def server(start_server: StartServer, fal: FakeFal) -> AsyncIterator[RunningServer]:
    """A server that has its pictures from fal, and would not try a deletion again for an hour."""
    async with start_server(
        FAL_KEY=fal.key, FAL_QUEUE_URL=fal.queue_url, CHUK_DELETION_FIRST_RETRY="3600"
    ) as running:
        yield running


async def image(server: RunningServer, **headers: str) -> tuple[int, Any]:
    """A request for a picture: its status and its body."""
    async with server.client.post(
        f"{server.url}{IMAGE}", json=FOX, headers={**server.bearer(), **headers}
    ) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "key-1"}])
async def test_a_running_job_is_stopped_and_not_waited_for(
    server: RunningServer, fal: FakeFal, headers: dict[str, str]
) -> None:
    fal.script(FalJob(waits=None))
    drawing = asyncio.create_task(image(server, **headers))
    await fal.wait_until(lambda: bool(fal.jobs) and fal.only_job.asked > 0)
    async with server.client.delete(
        f"{server.url}/v1/user/delete-account", headers=server.bearer()
    ) as answer:
        assert (answer.status, (await answer.json())["data"]["pending"]) == (200, [])
    status, body = await drawing
    assert status in (403, 503), body
    await fal.wait_until(lambda: fal.only_job.is_cancelled)
