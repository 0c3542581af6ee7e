"""What tests here share: clients to reach the outside."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from chuk.adapters.push_client import PushClient


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
