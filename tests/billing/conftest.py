"""What the tests of billing share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.billing.till import Till, open_till
from tests.fakes.stripe import FakeStripe


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A session as the application shares one."""
    async with aiohttp.ClientSession() as shared:
        yield shared


@pytest.fixture
async def fake() -> AsyncIterator[FakeStripe]:
    """A fake Stripe, running."""
    async with FakeStripe() as running:
        yield running


@pytest.fixture
async def till(
    fake: FakeStripe, session: aiohttp.ClientSession, tmp_path: Path
) -> AsyncIterator[Till]:
    """A process that bills."""
    async with open_till(fake, session, tmp_path) as opened:
        yield opened
