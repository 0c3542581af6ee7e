"""Deletions of accounts, in a Supabase project's Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chuk.accounts.ports import Deletion
from chuk.adapters.supabase import answers
from chuk.adapters.supabase.client import SupabaseProject
from chuk.clock import Clock


class SupabaseDeletions:
    """See `chuk.accounts.ports.DeletionStore`.

    Args:
        free_messages: what a purse starts with; a deletion is begun under the purse's lock.
    """

    def __init__(self, project: SupabaseProject, *, free_messages: int, clock: Clock) -> None:
        self._project = project
        self._free_messages = free_messages
        self._clock = clock

    async def begin(self, user_id: UUID) -> Deletion | None:
        """See the port."""
        return await self._project.call(
            "begin_deletion",
            answers.optional(_deletion),
            user_id=user_id,
            free_messages=self._free_messages,
            now=self._clock(),
        )

    async def is_locked(self, user_id: UUID) -> bool:
        """See the port."""
        return await self._project.call("is_locked", answers.truth, user_id=user_id)

    async def locked_since(self, moment: datetime) -> Sequence[UUID]:
        """See the port."""
        return await self._project.call("locked_since", answers.rows(UUID), moment=moment)

    async def claim_due(
        self, owner: str, now: datetime, lease_until: datetime, limit: int
    ) -> Sequence[Deletion]:
        """See the port."""
        return await self._project.call(
            "claim_deletions",
            answers.rows(_deletion),
            owner=owner,
            now=now,
            lease_until=lease_until,
            limit=limit,
        )

    async def mark_done(self, deletion_id: str, step: str) -> None:
        """See the port."""
        await self._project.call("mark_step", answers.nothing, id=deletion_id, step=step)

    async def retry_at(self, deletion_id: str, moment: datetime) -> None:
        """See the port."""
        await self._project.call("retry_deletion", answers.nothing, id=deletion_id, moment=moment)

    async def erase_records(self, user_id: UUID) -> None:
        """See the port."""
        await self._project.call("erase_records", answers.nothing, user_id=user_id)

    async def finish(self, deletion_id: str) -> None:
        """See the port."""
        await self._project.call("finish_deletion", answers.nothing, id=deletion_id)


def _deletion(answer: Any) -> Deletion:
    row = answers.fields(answer)
    return Deletion(
        id=answers.text(row["id"]),
        user_id=UUID(answers.text(row["user_id"])),
        done=frozenset(answers.each(answers.text)(row["done"])),
        attempts=answers.number(row["attempts"]),
        requested_at=answers.moment(row["requested_at"]),
    )
