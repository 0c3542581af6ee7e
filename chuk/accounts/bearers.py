"""Whoever stands behind `Bearer`: a user's own token, or one of their API keys."""

from __future__ import annotations

from chuk.accounts.api_keys import PREFIX, ApiKeys
from chuk.accounts.principal import Principal, Scope
from chuk.accounts.tokens import TokenVerifier
from chuk.errors import Forbidden, TokenExpired


class Bearers:
    """Turns what a client sends into a principal."""

    def __init__(self, tokens: TokenVerifier, api_keys: ApiKeys) -> None:
        self._tokens = tokens
        self._api_keys = api_keys

    async def verify(self, bearer: str) -> Principal:
        """Whom it speaks for.

        Raises:
            TokenExpired: it has ended.
            InvalidToken: anything else that is its own fault.
            ServiceUnavailable: what would decide cannot be had.
        """
        if bearer.startswith(PREFIX):
            return await self._api_keys.verify(bearer)
        return await self._tokens.verify(bearer)

    async def check(self, principal: Principal) -> None:
        """Whether what was good once still is, on a connection that lasts.

        Raises:
            ChukError: as `verify`.
        """
        if principal.api_key_id is not None:
            await self._api_keys.check(principal)
        elif self._tokens.has_expired(principal):
            raise TokenExpired(principal.expires_at, principal.user_id)


def require_scope(principal: Principal, scope: Scope | None) -> None:
    """Refuse an API key what it may not do.

    Args:
        scope: what it must be allowed; None: no key may do it.

    Raises:
        Forbidden: it may not. `details` name the scope that is missing.
    """
    if principal.may(scope):
        return
    if scope is None:
        raise Forbidden("This cannot be done with an API key. Please sign in.")
    raise Forbidden(
        f"This API key has no permission for: {scope.value}.", details={"scope": scope.value}
    )
