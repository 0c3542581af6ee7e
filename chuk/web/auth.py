"""Who is calling: from the `Authorization` header to a principal."""

from __future__ import annotations

from aiohttp import hdrs, web

from chuk.accounts.bearers import Bearers
from chuk.accounts.principal import Principal
from chuk.errors import InvalidToken, Unauthorized
from chuk.web.keys import PRINCIPAL


async def authenticate(request: web.Request, verifier: Bearers) -> Principal:
    """Verify the request's token or API key and remember whom it speaks for.

    Raises:
        Unauthorized: there is no token.
        InvalidToken, TokenExpired: there is one, and it is at fault.
        ServiceUnavailable: the key that would decide cannot be had.
    """
    header = request.headers.get(hdrs.AUTHORIZATION)
    if not header:
        raise Unauthorized
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer":
        raise InvalidToken
    principal = await verifier.verify(token.strip())
    request[PRINCIPAL] = principal
    return principal
