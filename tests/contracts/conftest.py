"""Every contract is kept by every store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contracts.stores import STORES, BooksUnderTest


@pytest.fixture(params=list(STORES))
async def books(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BooksUnderTest]:
    """Empty books, once on each store."""
    async with STORES[request.param](tmp_path) as opened:
        yield opened
