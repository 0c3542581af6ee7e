"""What tests here share: clients to reach the outside, and children."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from chuk.adapters.fork_server import ForkServer
from chuk.adapters.push_client import PushClient
from tests.adapters.child_jobs import MEMORY, WORK, Once


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A session as the application shares one."""
    async with aiohttp.ClientSession() as shared:
        yield shared


def a_push_client(connect_timeout: float = 10.0) -> PushClient:
    """A client as the application shares one."""
    return PushClient(connect_timeout=connect_timeout, most_connections=100, user_agent="chuk/test")


@pytest.fixture
async def push() -> AsyncIterator[PushClient]:
    """A client for completions."""
    client = a_push_client()
    yield client
    client.close()


@pytest.fixture
async def forks() -> AsyncIterator[ForkServer]:
    """What one-shot children are forked from."""
    server = ForkServer()
    yield server
    await server.close()


@pytest.fixture
def once(forks: ForkServer) -> Once:
    """One job in a process of its own."""

    async def once(
        todo: str, *, timeout: float = 30, cpu: float = 20, module: str = WORK, **more: Any
    ) -> dict[str, Any]:
        request = {"todo": todo, **more}
        return await forks.run(module, request, timeout=timeout, memory=MEMORY, cpu=cpu)

    return once
