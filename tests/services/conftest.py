"""What tests here share: a stand-in for OpenRouter and a session to reach it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.fakes.openrouter import FakeOpenRouter


@pytest.fixture
async def openrouter() -> AsyncIterator[FakeOpenRouter]:
    """A fresh stand-in."""
    async with FakeOpenRouter() as server:
        yield server


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A session as the application shares one."""
    async with aiohttp.ClientSession() as shared:
        yield shared
