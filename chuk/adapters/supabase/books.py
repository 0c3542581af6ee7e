"""The books of a configured Supabase project, opened and closed as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chuk.accounts.ports import ApiKeyStore, DeletionStep, DeletionStore
from chuk.billing.ports import BillingStore
from chuk.clock import Clock, utc_now
from chuk.credits.ports import LedgerStore

if TYPE_CHECKING:
    from chuk.adapters.supabase.client import SupabaseProject


@dataclass(frozen=True)
class SupabaseBooks:
    """Four stores on one project.

    Attributes:
        steps: what else of a person is in the project, in the order in which it must go: files
            before the sign-in, which is last of all.
    """

    ledger: LedgerStore
    billing: BillingStore
    deletions: DeletionStore
    api_keys: ApiKeyStore
    steps: Sequence[DeletionStep]
    project: SupabaseProject

    async def close(self) -> None:
        """Close the connections."""
        await self.project.close()


def open_supabase_books(
    *, url: str, service_role_key: str, timeout: float, free_messages: int, clock: Clock = utc_now
) -> SupabaseBooks:
    """The books that this project keeps. Nothing is asked of it yet.

    Args:
        timeout: for one call, in seconds.
        free_messages: what an account starts with.
    """
    # Here, so that a server without a project does not pay for loading supabase-py.
    from chuk.adapters.supabase import (  # noqa: PLC0415
        api_keys,
        billing,
        client,
        deletions,
        ledger,
        storage,
        users,
    )

    project = client.SupabaseProject(url, service_role_key, timeout=timeout)
    return SupabaseBooks(
        ledger=ledger.SupabaseLedger(project, free_messages=free_messages, clock=clock),
        billing=billing.SupabaseBilling(project, free_messages=free_messages, clock=clock),
        deletions=deletions.SupabaseDeletions(project, free_messages=free_messages, clock=clock),
        api_keys=api_keys.SupabaseApiKeys(project, free_messages=free_messages, clock=clock),
        steps=(storage.SupabaseFiles(project), users.SupabaseSignIn(project)),
        project=project,
    )
