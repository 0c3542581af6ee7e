"""The verified caller."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Principal:
    """A signed-in user, as a verified token says.

    Attributes:
        user_id: the token's `sub`.
        log_name: a salted hash that stands for the user in logs.
        expires_at: when the token ends, Unix seconds.
    """

    user_id: UUID
    log_name: str
    expires_at: int
