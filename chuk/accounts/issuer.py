"""The embedded token issuer: signs people in where there is no Supabase project."""

from __future__ import annotations

import os
import secrets
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import jwt

from chuk.accounts.tokens import TokenRules
from chuk.clock import Clock, utc_now

ISSUER = "chuk-embedded"
DEFAULT_USER = UUID("00000000-0000-4000-8000-000000000001")
DEFAULT_LIFETIME = timedelta(days=1)
_SECRET_BYTES = 32


class EmbeddedIssuer:
    """Makes tokens of the same shape as Supabase's, signed with a secret of this installation."""

    def __init__(self, secret: bytes, *, clock: Clock = utc_now) -> None:
        self._secret = secret
        self._clock = clock

    def token(self, user: UUID = DEFAULT_USER, lifetime: timedelta = DEFAULT_LIFETIME) -> str:
        """Return a bearer token for `user`; a negative lifetime makes an expired one."""
        now = self._clock()
        claims = {
            "sub": str(user),
            "aud": "authenticated",
            "role": "authenticated",
            "iss": ISSUER,
            "iat": int(now.timestamp()),
            "exp": int((now + lifetime).timestamp()),
        }
        return jwt.encode(claims, self._secret, algorithm="HS256")

    def rules(self) -> TokenRules:
        """What the verifier must accept."""
        return TokenRules(issuer=ISSUER, secret=self._secret)


def installation_secret(folder: Path, name: str) -> bytes:
    """Read a secret of this installation, made at first use (mode 0600).

    Two processes that start at once agree on one: whoever links the file first wins.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = folder / name
    if not file.exists():
        draft = folder / f".{name}.{secrets.token_hex(8)}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            target.write(secrets.token_bytes(_SECRET_BYTES))
        try:
            os.link(draft, file)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return file.read_bytes()
