"""What tests of the credits stand on: real books, a clock that obeys, and a store that fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from chuk.adapters.sqlite.database import Database
from chuk.adapters.sqlite.ledger import SqliteLedger
from chuk.credits.ledger import Basis, Operation, Outcome, Receipt, UsageRecord
from chuk.credits.money import MicroEuro
from chuk.credits.ports import LedgerStore
from chuk.credits.pricing import PriceList
from chuk.credits.service import Order
from chuk.errors import ServiceUnavailable

USER = UUID(int=7)
EURO = 1_000_000
PRICES = PriceList(Decimal("0.92"), Decimal("0.1"))
FREE_MESSAGES = 3


class Time:
    """A clock that stands still until a test moves it; `sleep` goes by it.

    Attributes:
        slept: every wait that was begun, in seconds.
    """

    def __init__(self) -> None:
        self.present = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
        self.slept: list[float] = []
        self._sleepers: list[tuple[datetime, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """The present moment."""
        return self.present

    async def sleep(self, seconds: float) -> None:
        """Wait until a test has moved the clock that far."""
        self.slept.append(seconds)
        awake = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.present + timedelta(seconds=seconds), awake))
        await awake

    def pass_by(self, seconds: float) -> None:
        """Move the clock, and wake whoever has slept long enough."""
        self.present += timedelta(seconds=seconds)
        for sleeper in [each for each in self._sleepers if each[0] <= self.present]:
            self._sleepers.remove(sleeper)
            if not sleeper[1].done():
                sleeper[1].set_result(None)

    async def pass_until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Let seconds pass, each as soon as its work is done, until the condition holds."""
        async with asyncio.timeout(30):
            while not await condition():
                self.pass_by(1)
                await asyncio.sleep(0)


class Unreliable:
    """A store that fails as often as it is told to, before or after it did what it was asked.

    Attributes:
        calls: names of the methods called.
        loses: names of methods whose next call does nothing and fails, once for each entry.
        forgets_to_answer: the same, but what was asked is done.
    """

    def __init__(self, store: LedgerStore) -> None:
        self.calls: list[str] = []
        self.loses: list[str] = []
        self.forgets_to_answer: list[str] = []
        self._store = store

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        async def called(*arguments: Any, **named: Any) -> Any:
            self.calls.append(name)
            if name in self.loses:
                self.loses.remove(name)
                raise ServiceUnavailable
            answer = await method(*arguments, **named)
            if name in self.forgets_to_answer:
                self.forgets_to_answer.remove(name)
                raise ServiceUnavailable
            return answer

        return called


@asynccontextmanager
async def open_books(folder: Path, time: Time) -> AsyncIterator[SqliteLedger]:
    """The real store in a file of its own, proven at the end."""
    database = await Database.open(folder / "books.sqlite3", time.now)
    try:
        store = SqliteLedger(database, free_messages=FREE_MESSAGES, clock=time.now)
        yield store
        assert await store.verify() == []
    finally:
        await database.close()


async def give(store: LedgerStore, amount: int, user: UUID = USER) -> None:
    """Credits, as support would grant them; in micro-euros."""
    assert await store.grant(user, MicroEuro(amount), f"gift:{user}:{amount}")


async def receipts(store: LedgerStore, user: UUID = USER) -> list[Receipt]:
    """Every usage row of a user, newest first."""
    return list(await store.receipts(user, before=None, limit=1_000))


def an_order(id: str = "work-1", **fields: Any) -> Order:  # noqa: A002
    """Some work; one euro at most, ten cents at least."""
    usual: dict[str, Any] = {
        "user_id": USER,
        "operation": Operation.IMAGE,
        "model_id": "maker/painter",
        "provider_slug": "one",
        "at_most": MicroEuro(EURO),
        "at_least": MicroEuro(EURO // 10),
    }
    return Order(id, **{**usual, **fields})


def a_usage(**fields: Any) -> UsageRecord:
    """What that work took."""
    usual: dict[str, Any] = {
        "model_id": "maker/painter",
        "provider_slug": "one",
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "total_tokens": 1,
        "cost_usd": Decimal("0.25"),
        "outcome": Outcome.COMPLETED,
        "basis": Basis.UPSTREAM,
        "is_zdr": True,
    }
    return UsageRecord(**{**usual, **fields})
