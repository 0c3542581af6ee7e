"""What accounts need from outside: keys, a store of deletions, and what a deletion must do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

import jwt


class KeySet(Protocol):
    """The public keys that sign users' tokens."""

    async def key(self, key_id: str) -> jwt.PyJWK:
        """Return the key with this id.

        Raises:
            InvalidToken: the issuer has no such key.
            ServiceUnavailable: the issuer cannot be asked and the key is not known here.
        """
        ...


@dataclass(frozen=True, slots=True)
class Deletion:
    """A deletion that is not done yet.

    Attributes:
        id: of the row; the only one who still knows the user is this row.
        done: names of the steps that are done.
    """

    id: str
    user_id: UUID
    done: frozenset[str]
    attempts: int
    requested_at: datetime


class DeletionStore(Protocol):
    """Which accounts are locked, and what is left to erase.

    A finished deletion leaves one row: the salted hash of the user id, so that a token that is
    still valid is refused. The salt lives in the store. Every method raises `ServiceUnavailable`
    when the store cannot be reached.
    """

    async def begin(self, user_id: UUID) -> Deletion | None:
        """Lock the account and record the deletion, durably, in one transaction.

        Returns the deletion, new or already under way; None where it is finished.
        """
        ...

    async def is_locked(self, user_id: UUID) -> bool:
        """Whether the account is under deletion, or erased."""
        ...

    async def locked_since(self, moment: datetime) -> Sequence[UUID]:
        """Users locked since then whose deletion is not finished, for other processes."""
        ...

    async def claim_due(
        self, owner: str, now: datetime, lease_until: datetime, limit: int
    ) -> Sequence[Deletion]:
        """Take deletions that are due, so that no two processes work on one."""
        ...

    async def mark_done(self, deletion_id: str, step: str) -> None:
        """A step is done for good."""
        ...

    async def retry_at(self, deletion_id: str, moment: datetime) -> None:
        """A step failed: count an attempt, and make the deletion due again then."""
        ...

    async def erase_records(self, user_id: UUID) -> None:
        """Delete every row about the user; usage stays only in sums without a user.

        Raises:
            OpenHoldsError: work is still running or not settled; try again later.
        """
        ...

    async def finish(self, deletion_id: str) -> None:
        """Forget the user id; the salted hash stays."""
        ...


class OpenHoldsError(Exception):
    """The user's books cannot be closed yet."""


class DeletionStep(Protocol):
    """One thing that a deletion does; safe to run again."""

    @property
    def name(self) -> str:
        """What clients see in `pending`."""
        ...

    async def run(self, user_id: UUID) -> None:
        """Do it. Whatever it raises makes it due again later."""
        ...
