"""What token verification needs from outside."""

from __future__ import annotations

from typing import Protocol

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
