"""What accounts need from outside: keys, two stores, and what a deletion must do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

import jwt

from chuk.accounts.principal import Scope
from chuk.credits.money import MicroEuro


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


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A personal API key: all that is known of it, which is not the key itself.

    Attributes:
        last_four: the key's last characters, by which its owner knows it.
        monthly_budget: the most that may be spent through it in a UTC month; None: no limit.
        expires_at: from when on it is refused; None: never.
        last_used_at: to a minute or so; None: never used.
        spent: this UTC month, settled. Known in lists alone.
    """

    id: UUID
    user_id: UUID
    name: str
    last_four: str
    scopes: frozenset[Scope]
    monthly_budget: MicroEuro | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = None
    spent: MicroEuro = MicroEuro(0)


class ApiKeyStore(Protocol):
    """Keeps the personal API keys, found by the SHA-256 of the key.

    They go with the rest of their owner's records (`DeletionStore.erase_records`). Every method
    raises `ServiceUnavailable` when the store cannot be reached.
    """

    async def add(self, key: ApiKey, digest: bytes, *, most: int) -> bool:
        """Keep a key; False where its owner has `most` of them already.

        Raises:
            Forbidden: the account is locked for deletion.
        """
        ...

    async def find(self, digest: bytes) -> ApiKey | None:
        """The key with this digest."""
        ...

    async def of_user(self, user_id: UUID) -> Sequence[ApiKey]:
        """The user's keys, the oldest first, with what was spent this month."""
        ...

    async def remove(self, user_id: UUID, key_id: UUID) -> bool:
        """Forget a key, for good; False where the user has no such key."""
        ...

    async def note_use(self, key_id: UUID, moment: datetime) -> None:
        """A key was used then. Nothing happens to one that is gone."""
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
