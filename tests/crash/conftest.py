"""What crash tests share: the other end of every line stays alive."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.fakes.stripe import FakeStripe


@pytest.fixture
async def stripe() -> AsyncIterator[FakeStripe]:
    """A fake Stripe, running."""
    async with FakeStripe() as fake:
        yield fake
