"""What keys need from outside: who has claimed one, and what came of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from chuk.errors import ChukError

KEEP = timedelta(hours=24)
"""How long a key stands for its request."""

Outcome = bytes | ChukError
"""What a request came to: its answer as JSON, or why there is none."""


class ClaimState(StrEnum):
    """How far the work of a claim has come."""

    RUNNING = "running"
    SERVED = "served"


@dataclass(frozen=True, slots=True)
class Claim:
    """A key that stands for a request. It holds hashes and times, nothing that anybody wrote.

    Attributes:
        key: of the user and the key, hashed.
        owner: of the user alone, hashed.
        fingerprint: of what the request means, hashed.
        work: names the work, for ever unlike any other; for a turn its stream id.
        process: who works.
        lease_until: when a process that has not said that it still lives counts as dead.
    """

    key: str
    owner: str
    fingerprint: str
    work: str
    process: str
    state: ClaimState
    claimed_at: datetime
    lease_until: datetime


class IdempotencyStore(Protocol):
    """Keeps claims, durably, for `KEEP`; and outcomes as long as there is room for them.

    Every method raises `ServiceUnavailable` when the store cannot be reached.
    """

    async def claim(self, wanted: Claim, *, instead_of: str | None = None) -> Claim:
        """Take a key that nobody has, and return the claim that stands then.

        Args:
            instead_of: the work of a dead claim, which gives way if it still stands.
        """
        ...

    async def renew(self, claims: Collection[Claim], until: datetime) -> None:
        """Say that these works are still done."""
        ...

    async def serve(self, claim: Claim, answer: bytes | None) -> None:
        """The work is done. Its answer is kept, where it is not kept elsewhere (None).

        Nothing happens to a claim that does not stand any more.
        """
        ...

    async def give_up(self, claim: Claim, error: ChukError | None) -> None:
        """The work came to nothing: the key is free again.

        The error is kept for a moment, for those who wait for this work.
        """
        ...

    async def outcome(self, work: str) -> Outcome | None:
        """What a work came to; None: nothing yet, or it is not kept any more."""
        ...

    async def forget(self, owner: str) -> None:
        """Erase all claims and outcomes of a user."""
        ...

    async def sweep(self) -> None:
        """Erase what is too old, where that does not happen by itself."""
        ...

    async def close(self) -> None:
        """Let go of what is open."""
        ...
