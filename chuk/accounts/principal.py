"""The verified caller."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID


class Scope(StrEnum):
    """What a personal API key can be allowed to do. A signed-in user needs none of it."""

    CHAT = "chat"
    EMBEDDINGS = "embeddings"
    AUDIO = "audio"
    IMAGES = "images"
    FILES = "files"
    MODELS = "models"


@dataclass(frozen=True, slots=True)
class Principal:
    """A user, as a verified token says, or a personal API key.

    Attributes:
        user_id: the token's `sub`, or the key's owner.
        log_name: a salted hash that stands for the user in logs.
        expires_at: when the token or the key ends, Unix seconds.
        api_key_id: of the key that speaks; None: the user is signed in.
        scopes: all that the key may do. Of a signed-in user: empty, and asked by nobody.
        api_key_digest: by which the key is known; never printed.
    """

    user_id: UUID
    log_name: str
    expires_at: int
    api_key_id: UUID | None = None
    scopes: frozenset[Scope] = frozenset()
    api_key_digest: bytes | None = field(default=None, repr=False)

    def may(self, scope: Scope | None) -> bool:
        """Whether this caller may do what needs `scope`; None: what no key may ever do."""
        return self.api_key_id is None or scope in self.scopes


def log_name(salt: bytes, user_id: UUID) -> str:
    """What stands for a user in logs: a salted hash."""
    return hmac.new(salt, user_id.bytes, hashlib.sha256).hexdigest()[:16]
