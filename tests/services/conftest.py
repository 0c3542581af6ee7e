"""What tests here share: a session to reach the outside."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A session as the application shares one."""
    async with aiohttp.ClientSession() as shared:
        yield shared
