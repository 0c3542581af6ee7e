"""A browser, and somebody who sits at it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from tests.console.visitor import Visitor, running_browser, visiting
from tests.harness import RunningServer


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with running_browser() as running:
        yield running


@pytest.fixture
async def visitor(browser: Browser, server: RunningServer) -> AsyncIterator[Visitor]:
    """Somebody who has signed in at a server at the fake OpenRouter."""
    async with visiting(browser, server) as somebody:
        await somebody.enter()
        yield somebody
