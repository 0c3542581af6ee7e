"""The verified caller."""

from __future__ import annotations

import hashlib
import hmac
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


def log_name(salt: bytes, user_id: UUID) -> str:
    """What stands for a user in logs: a salted hash."""
    return hmac.new(salt, user_id.bytes, hashlib.sha256).hexdigest()[:16]
