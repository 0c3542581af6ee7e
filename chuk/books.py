"""Who keeps the books: one SQLite file in the data folder, or a Supabase project's Postgres."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from chuk.accounts.ports import ApiKeyStore, DeletionStep, DeletionStore
from chuk.adapters.sqlite.api_keys import SqliteApiKeys
from chuk.adapters.sqlite.billing import SqliteBilling
from chuk.adapters.sqlite.database import FILE_NAME, Database
from chuk.adapters.sqlite.deletions import SqliteDeletions
from chuk.adapters.sqlite.ledger import SqliteLedger
from chuk.adapters.supabase.books import open_supabase_books
from chuk.billing.ports import BillingStore
from chuk.clock import Clock, utc_now
from chuk.credits.ports import LedgerStore
from chuk.settings import Settings


@dataclass(frozen=True, slots=True)
class Books:
    """The four stores, opened and closed as one.

    Attributes:
        using: who keeps them, in words for the operator.
        erased_first, erased_last: what else of a person their keeper has, and must go before the
            records, and after them.
    """

    ledger: LedgerStore
    billing: BillingStore
    deletions: DeletionStore
    api_keys: ApiKeyStore
    using: str
    erased_first: Sequence[DeletionStep]
    erased_last: Sequence[DeletionStep]
    close: Callable[[], Awaitable[None]]


async def open_books(settings: Settings, *, clock: Clock = utc_now) -> Books:
    """Open the books that the settings name; a SQLite file is made and migrated where needed.

    Raises:
        OSError: the data folder cannot be written.
        SchemaError: the file is of a newer version than this code.
    """
    free_messages = settings.plan.free_messages
    supabase = settings.supabase
    if supabase.service_role_key:
        project = open_supabase_books(
            url=supabase.url,
            service_role_key=supabase.service_role_key,
            timeout=supabase.timeout,
            free_messages=free_messages,
            clock=clock,
        )
        *files, sign_in = project.steps
        return Books(
            ledger=project.ledger,
            billing=project.billing,
            deletions=project.deletions,
            api_keys=project.api_keys,
            using=f"Supabase at {supabase.url}",
            erased_first=files,
            erased_last=[sign_in],
            close=project.close,
        )
    file = settings.server.data_dir / FILE_NAME
    database = await Database.open(file, clock)
    return Books(
        ledger=SqliteLedger(database, free_messages=free_messages, clock=clock),
        billing=SqliteBilling(database, clock=clock),
        deletions=SqliteDeletions(database, clock=clock),
        api_keys=SqliteApiKeys(database, free_messages=free_messages, clock=clock),
        using=f"SQLite in {file}",
        erased_first=(),
        erased_last=(),
        close=database.close,
    )
