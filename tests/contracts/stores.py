"""The stores that every contract is tested on, and words to speak to them with.

async with sqlite_books(folder) as books:
    await books.ledger.grant(ADA, MicroEuro(10_000), "a cent")
    books.clock.move(days=1)
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from chuk.accounts.ports import ApiKey, ApiKeyStore, DeletionStore
from chuk.accounts.principal import Scope
from chuk.adapters.sqlite.api_keys import SqliteApiKeys
from chuk.adapters.sqlite.billing import SqliteBilling
from chuk.adapters.sqlite.database import FILE_NAME, Database
from chuk.adapters.sqlite.deletions import SqliteDeletions
from chuk.adapters.sqlite.ledger import SqliteLedger
from chuk.adapters.supabase.books import open_supabase_books
from chuk.billing.ports import BillingStore
from chuk.credits.ledger import Basis, HoldRequest, Operation, Outcome, UsageRecord
from chuk.credits.money import MicroEuro
from chuk.credits.ports import LedgerStore
from tests.fakes.supabase_project import FakeSupabaseProject

NOW = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
ADA = UUID("aaaaaaaa-0000-4000-8000-000000000001")
BOB = UUID("bbbbbbbb-0000-4000-8000-000000000002")
FREE_MESSAGES = 3
MODEL = "qwen/qwen3-32b"


class StillClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> datetime:
        """Let time pass; returns the new moment."""
        self.now += timedelta(**by)
        return self.now


@dataclass
class BooksUnderTest:
    """One store of each kind over one database, and what no port offers.

    Attributes:
        tamper: adds to a figure of a user's purse (`available`, `allocated`), past the ledger.
        naming: the tables with a row in which this word or user id stands.
        anonymous: month, operation, model, requests, tokens, US dollars, charged.
    """

    ledger: LedgerStore
    billing: BillingStore
    deletions: DeletionStore
    api_keys: ApiKeyStore
    tamper: Callable[[UUID, str, int], Awaitable[None]]
    naming: Callable[[UUID | str], Awaitable[set[str]]]
    anonymous: Callable[[], Awaitable[Sequence[tuple[Any, ...]]]]
    clock: StillClock = field(default_factory=StillClock)


@asynccontextmanager
async def sqlite_books(folder: Path) -> AsyncIterator[BooksUnderTest]:
    """Books in a SQLite file of this folder."""
    file, clock = folder / FILE_NAME, StillClock()

    async def run(query: str, *values: Any) -> list[tuple[Any, ...]]:
        def work() -> list[tuple[Any, ...]]:
            # As another process would.
            with closing(sqlite3.connect(file, isolation_level=None)) as connection:
                return connection.execute(query, values).fetchall()

        return await asyncio.to_thread(work)

    async def tamper(user_id: UUID, what: str, by: int) -> None:
        await run(f"UPDATE purses SET {what} = {what} + ? WHERE user_id = ?", by, user_id.bytes)

    async def naming(word: UUID | str) -> set[str]:
        found = set()
        for (table,) in await run("SELECT name FROM sqlite_master WHERE type = 'table'"):
            for row in await run(f"SELECT * FROM {table}"):
                whole = row if isinstance(word, UUID) else " ".join(map(str, row))
                if (word.bytes if isinstance(word, UUID) else word) in whole:
                    found.add(table)
        return found

    async def anonymous() -> Sequence[tuple[Any, ...]]:
        return await run("SELECT * FROM usage_sums ORDER BY month, operation, model_id")

    database = await Database.open(file, clock)
    try:
        yield BooksUnderTest(
            ledger=SqliteLedger(database, free_messages=FREE_MESSAGES, clock=clock),
            billing=SqliteBilling(database, clock=clock),
            deletions=SqliteDeletions(database, clock=clock),
            api_keys=SqliteApiKeys(database, free_messages=FREE_MESSAGES, clock=clock),
            tamper=tamper,
            naming=naming,
            anonymous=anonymous,
            clock=clock,
        )
    finally:
        await database.close()


@asynccontextmanager
async def supabase_books(_folder: Path) -> AsyncIterator[BooksUnderTest]:
    """Books in a stand-in for a Supabase project, over a real Postgres."""
    async with FakeSupabaseProject() as project:
        clock = StillClock()

        async def tamper(user_id: UUID, what: str, by: int) -> None:
            query = (
                f"update public.user_billing set {what}_micro = {what}_micro + %s"
                " where user_id = %s"
            )
            await project.database.run(query.encode(), by, user_id)

        async def naming(word: UUID | str) -> set[str]:
            tables = await project.database.run(
                "select schemaname || '.' || tablename from pg_tables"
                " where schemaname in ('public', 'chuk')"
            )
            found = set()
            for (table,) in tables:
                query = f"select 1 from {table} t where t::text like '%%' || %s || '%%'"
                if await project.database.run(query.encode(), str(word)):
                    found.add(table)
            return found

        async def anonymous() -> Sequence[tuple[Any, ...]]:
            return await project.database.run(
                "select to_char(month, 'YYYY-MM'), operation, model_id, sum(requests)::int,"
                " sum(total_tokens)::int, sum(cost_usd)::text, sum(charged_micro)::int"
                " from chuk.usage_totals group by 1, 2, 3 order by 1, 2, 3"
            )

        books = open_supabase_books(
            url=project.url,
            service_role_key=project.service_role_key,
            timeout=20.0,
            free_messages=FREE_MESSAGES,
            clock=clock,
        )
        try:
            yield BooksUnderTest(
                ledger=books.ledger,
                billing=books.billing,
                deletions=books.deletions,
                api_keys=books.api_keys,
                tamper=tamper,
                naming=naming,
                anonymous=anonymous,
                clock=clock,
            )
        finally:
            await books.close()


STORES = {"sqlite": sqlite_books, "supabase": supabase_books}


def hold_request(
    hold_id: str,
    at_most: int,
    at_least: int = 1,
    *,
    user: UUID = ADA,
    free: bool = False,
    owner: str = "a process",
    lease_until: datetime = NOW + timedelta(minutes=1),
    key: ApiKey | None = None,
) -> HoldRequest:
    """A chat turn that may cost so much, asked for through an API key or without one."""
    return HoldRequest(
        id=hold_id,
        user_id=user,
        operation=Operation.CHAT,
        model_id=MODEL,
        provider_slug="groq",
        at_most=MicroEuro(at_most),
        at_least=MicroEuro(at_least),
        allows_free_message=free,
        owner=owner,
        lease_until=lease_until,
        api_key_id=None if key is None else key.id,
    )


def api_key(
    name: str = "a key",
    *,
    user: UUID = ADA,
    budget: int | None = None,
    scopes: frozenset[Scope] = frozenset(Scope),
    created_at: datetime = NOW,
    expires_at: datetime | None = None,
) -> ApiKey:
    """A key nobody has used yet."""
    return ApiKey(
        id=uuid4(),
        user_id=user,
        name=name,
        last_four="wxyz",
        scopes=scopes,
        monthly_budget=None if budget is None else MicroEuro(budget),
        created_at=created_at,
        expires_at=expires_at,
    )


async def kept_key(books: BooksUnderTest, name: str = "a key", **about: Any) -> ApiKey:
    """A key that the store knows."""
    key = api_key(name, **about)
    assert await books.api_keys.add(key, key.id.bytes * 2, most=9)
    return key


def usage(
    *,
    model_id: str = MODEL,
    outcome: Outcome = Outcome.COMPLETED,
    basis: Basis = Basis.UPSTREAM,
    tokens: int = 173,
    cost_usd: str = "0.00042",
) -> UsageRecord:
    """What a turn took."""
    return UsageRecord(
        model_id=model_id,
        provider_slug="groq",
        prompt_tokens=45,
        completion_tokens=tokens - 45,
        total_tokens=tokens,
        cost_usd=Decimal(cost_usd),
        outcome=outcome,
        basis=basis,
        is_zdr=True,
        generation_id="gen-1",
        tags={"page": "chat"},
    )
