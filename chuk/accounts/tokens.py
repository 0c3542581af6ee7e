"""Verifies Supabase access tokens here, without a call per request.

The algorithm always comes from the key. A token's header only says which kind of key is meant:
HS256 means the shared secret, ES256 and RS256 mean the published key of that id. A token that
names HS256 and a public key's id is still checked against the secret alone.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeGuard
from uuid import UUID

import jwt

from chuk.accounts.ports import KeySet
from chuk.accounts.principal import Principal, log_name
from chuk.clock import Clock, utc_now
from chuk.errors import InvalidToken, TokenExpired

LEEWAY = 30
_MAX_TOKEN_LENGTH = 8192
_ASYMMETRIC = frozenset({"ES256", "RS256"})


@dataclass(frozen=True, slots=True)
class TokenRules:
    """Which tokens are ours.

    Attributes:
        issuer: the only accepted `iss`.
        secret: for HS256; None where no shared secret is in use.
        audience: the only accepted `aud`.
        role: the only accepted `role`.
    """

    issuer: str
    secret: bytes | None
    audience: str = "authenticated"
    role: str = "authenticated"


class TokenVerifier:
    """Turns a bearer token into a principal.

    A token that was good is remembered by its hash for up to `remember_seconds`, at most
    `remember_count` of them.
    """

    def __init__(
        self,
        rules: TokenRules,
        keys: KeySet | None,
        *,
        log_salt: bytes,
        clock: Clock = utc_now,
        remember_seconds: int = 60,
        remember_count: int = 10_000,
    ) -> None:
        self._rules = rules
        self._keys = keys
        self._log_salt = log_salt
        self._clock = clock
        self._remember_seconds = remember_seconds
        self._remember_count = remember_count
        self._remembered: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()

    async def verify(self, token: str) -> Principal:
        """Return whom the token speaks for.

        Raises:
            TokenExpired: ours, but past its end and the leeway of 30 s.
            InvalidToken: anything else that is the token's own fault.
            ServiceUnavailable: the key that would decide cannot be had.
        """
        if len(token) > _MAX_TOKEN_LENGTH:
            raise InvalidToken
        now = self._clock().timestamp()
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        remembered = self._remembered.get(digest)
        if remembered is not None:
            until, principal = remembered
            if now < until:
                return principal
            del self._remembered[digest]
        principal = await self._checked(token, now)
        self._remember(digest, principal, now)
        return principal

    def has_expired(self, principal: Principal) -> bool:
        """Whether the token behind a principal is past its end by now."""
        return self._clock().timestamp() > principal.expires_at + LEEWAY

    def _remember(self, digest: bytes, principal: Principal, now: float) -> None:
        until = min(now + self._remember_seconds, principal.expires_at + LEEWAY)
        self._remembered[digest] = (until, principal)
        if len(self._remembered) > self._remember_count:
            self._remembered.popitem(last=False)

    async def _checked(self, token: str, now: float) -> Principal:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.InvalidTokenError, ValueError):
            raise InvalidToken from None
        key, algorithm = await self._key_for(header)
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._rules.audience,
                issuer=self._rules.issuer,
                leeway=LEEWAY,
                # The injected clock decides about time, below.
                options={
                    "require": ["exp", "sub", "aud", "iss"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except (jwt.InvalidTokenError, ValueError, TypeError):
            raise InvalidToken from None
        return self._principal(claims, now)

    async def _key_for(self, header: dict[str, object]) -> tuple[bytes | jwt.PyJWK, str]:
        algorithm, key_id = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str):
            # A list cannot even be looked for in a set.
            raise InvalidToken
        if algorithm == "HS256" and self._rules.secret is not None:
            return self._rules.secret, "HS256"
        if algorithm in _ASYMMETRIC and isinstance(key_id, str) and self._keys is not None:
            key = await self._keys.key(key_id)
            if key.algorithm_name in _ASYMMETRIC:
                return key, key.algorithm_name
        raise InvalidToken

    def _principal(self, claims: dict[str, object], now: float) -> Principal:
        expires_at, not_before = claims["exp"], claims.get("nbf", 0)
        if not _is_time(expires_at) or not _is_time(not_before):
            raise InvalidToken
        if not_before > now + LEEWAY or claims.get("role") != self._rules.role:
            raise InvalidToken
        try:
            user_id = UUID(str(claims["sub"]))
        except ValueError:
            raise InvalidToken from None
        if now > expires_at + LEEWAY:
            raise TokenExpired(expires_at, user_id)
        return Principal(
            user_id=user_id,
            log_name=log_name(self._log_salt, user_id),
            expires_at=int(expires_at),
        )


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and 0 <= value < 253_402_300_800
