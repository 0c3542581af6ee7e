"""The public keys of a Supabase project, cached.

https://supabase.com/docs/guides/auth/signing-keys
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import jwt
import orjson

from chuk.errors import InvalidToken, ServiceUnavailable
from chuk.logs import logger

_COOL_DOWN = 30.0
_TIMEOUT = 5.0
_MAX_BODY = 262_144


class SupabaseKeys:
    """Fetches `/.well-known/jwks.json` when an unknown key id turns up.

    One fetch at a time, at most one every 30 s, so that invented key ids cannot make this
    server flood the project. Keys already known survive a failed fetch.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        *,
        cool_down: float = _COOL_DOWN,
        timeout: float = _TIMEOUT,
    ) -> None:
        self._session = session
        self._url = f"{url.rstrip('/')}/auth/v1/.well-known/jwks.json"
        self._cool_down = cool_down
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._keys: dict[str, jwt.PyJWK] = {}
        self._lock = asyncio.Lock()
        self._fetched_at: float | None = None
        self._last_failed = False

    async def key(self, key_id: str) -> jwt.PyJWK:
        """See `chuk.accounts.ports.KeySet.key`."""
        if key_id not in self._keys:
            async with self._lock:
                if key_id not in self._keys and self._may_fetch():
                    await self._fetch()
        if key_id in self._keys:
            return self._keys[key_id]
        if self._last_failed:
            # The issuer may well know this key: the token is not to blame.
            raise ServiceUnavailable("Sign-in cannot be checked right now. Please try again.")
        raise InvalidToken

    async def probe(self) -> int:
        """Fetch now and return how many keys there are.

        Raises:
            ServiceUnavailable: the project does not answer with a key set.
        """
        await self._fetch()
        if self._last_failed:
            raise ServiceUnavailable("The key set cannot be had.")
        return len(self._keys)

    def _may_fetch(self) -> bool:
        now = asyncio.get_running_loop().time()
        return self._fetched_at is None or now - self._fetched_at >= self._cool_down

    async def _fetch(self) -> None:
        self._fetched_at = asyncio.get_running_loop().time()
        try:
            async with self._session.get(
                # Elsewhere are not the project's keys.
                self._url,
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                response.raise_for_status()
                body = await response.content.read(_MAX_BODY)
                while more := await response.content.read(_MAX_BODY - len(body)):
                    body += more
            self._keys = _keys(orjson.loads(body))
            self._last_failed = False
        except (aiohttp.ClientError, TimeoutError, ValueError, TypeError, LookupError) as error:
            self._last_failed = True
            logger("jwks").warning("key set cannot be had", error=type(error).__name__)


def _keys(document: Any) -> dict[str, jwt.PyJWK]:
    """Only keys that sign as the contract allows; others are passed over.

    Raises:
        ValueError, TypeError, LookupError: the document is no key set.
    """
    entries = document["keys"]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("keys")
    keys = {}
    for entry in entries:
        if entry.get("alg") not in ("ES256", "RS256") or not isinstance(entry.get("kid"), str):
            continue
        try:
            keys[str(entry["kid"])] = jwt.PyJWK(entry)
        except jwt.PyJWTError as error:
            logger("jwks").warning("key cannot be read", error=type(error).__name__)
    return keys
