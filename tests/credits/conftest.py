"""The books that these tests write in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from chuk.adapters.openrouter_generations import OpenRouterGenerations
from chuk.credits.ports import LedgerStore
from chuk.credits.service import Credits
from tests.credits.books import EURO, PRICES, Time, Unreliable, give, open_books
from tests.fakes.openrouter import FakeOpenRouter


@pytest.fixture
def time() -> Time:
    """The clock of all that a test starts."""
    return Time()


@pytest.fixture
async def store(tmp_path: Path, time: Time) -> AsyncIterator[LedgerStore]:
    """Real books of a user with ten euros."""
    async with open_books(tmp_path, time) as books:
        await give(books, 10 * EURO)
        yield books


@pytest.fixture
def unreliable(store: LedgerStore) -> Unreliable:
    """The same books, behind a connection that can fail."""
    return Unreliable(store)


@pytest.fixture
async def costs(openrouter: FakeOpenRouter) -> AsyncIterator[OpenRouterGenerations]:
    """Upstream's own books."""
    async with aiohttp.ClientSession() as session:
        yield OpenRouterGenerations(
            session, base_url=openrouter.base_url, api_key=openrouter.api_key
        )


@pytest.fixture
async def make_credits(unreliable: Unreliable, time: Time) -> AsyncIterator[Callable[..., Credits]]:
    """Make services over the unreliable books; closed at the end."""
    made: list[Credits] = []

    def make(**options: Any) -> Credits:
        usual: dict[str, Any] = {"owner": "process-1", "hold_lease": 60.0, "ask_attempts": 4}
        service = Credits(
            unreliable,
            PRICES,
            clock=time.now,
            sleep=time.sleep,
            **{**usual, **options},
        )
        made.append(service)
        return service

    yield make
    for service in made:
        await service.close()
