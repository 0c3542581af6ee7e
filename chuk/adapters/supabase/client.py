"""The one way to a Supabase project: supabase-py, with its faults made ours.

Importing this module costs the start-up time of supabase-py, so only what a configured project
needs imports it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import httpx
import orjson
from httpx_aiohttp import AiohttpTransport
from postgrest import APIError
from supabase import AsyncClient, AsyncClientOptions

from chuk.accounts.ports import OpenHoldsError
from chuk.adapters.bounded_transport import BoundedTransport
from chuk.credits.money import MicroEuro, euros
from chuk.errors import (
    Forbidden,
    InsufficientCredits,
    InternalError,
    InvalidToken,
    QuotaExceeded,
    ServiceUnavailable,
)
from chuk.logs import logger

_CONNECTIONS = 100
_MAX_ANSWER = 64 * 2**20
_IDLE = 60.0
# Wrong data, a broken constraint, or our own word for it: asking again would not help.
_DEFECTS = ("22", "23", "P0", "CK500")
# PostgREST knows no such function, or not with these parameters.
_NOT_MIGRATED = "PGRST202"

Result = TypeVar("Result")

_log = logger("supabase")


class SupabaseProject:
    """A project, as its service role sees it. `close` it.

    Nobody ever signs in on its client: the client would turn into that user.

    Args:
        timeout: for one call as a whole, in seconds. Nothing is tried twice here: whoever calls
            knows what may be repeated.
    """

    def __init__(self, url: str, service_role_key: str, *, timeout: float) -> None:
        self._timeout = timeout
        # aiohttp's pool under httpx's client: httpx's own looks at every connection for every
        # request, which cost 18 ms of processor time a turn with 32 of them at once.
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(timeout),
            transport=BoundedTransport(
                AiohttpTransport(
                    limits=httpx.Limits(max_connections=_CONNECTIONS, keepalive_expiry=_IDLE)
                ),
                most_bytes=_MAX_ANSWER,
            ),
            follow_redirects=False,
        )
        self.client = AsyncClient(
            url.rstrip("/"),
            service_role_key,
            AsyncClientOptions(
                httpx_client=self._http,
                auto_refresh_token=False,
                persist_session=False,
                postgrest_client_retry=False,
            ),
        )

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def call(
        self, function: str, read: Callable[[Any], Result], **parameters: object
    ) -> Result:
        """Call `chuk_<function>`: one round trip, one transaction.

        Args:
            read: turns the answer into a result; its TypeError, ValueError or LookupError means
                that the answer is nonsense.
            parameters: named as in SQL, without `p_`.

        Raises:
            ServiceUnavailable: no answer, or none that makes sense. It may have happened.
            InternalError: the database refused what we said.
            InsufficientCredits, QuotaExceeded, InvalidToken, Forbidden, OpenHoldsError,
                LookupError, ValueError: as the function found.
        """
        body = {f"p_{name}": _json(value) for name, value in parameters.items()}
        try:
            async with self.reaching():
                answer = await self.client.rpc(f"chuk_{function}", body).execute()
        except APIError as error:
            # Without its cause, whose text may quote what was sent.
            raise _translated(function, error) from None
        try:
            return read(answer.data)
        except (TypeError, ValueError, LookupError, ArithmeticError) as error:
            _log.warning("answer_makes_no_sense", function=function, error=type(error).__name__)
            raise ServiceUnavailable from None

    @asynccontextmanager
    async def reaching(self) -> AsyncIterator[None]:
        """Around one call: whatever keeps it from being answered becomes `ServiceUnavailable`."""
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except (httpx.HTTPError, TimeoutError, UnicodeDecodeError) as error:
            _log.warning("project_does_not_answer", error=type(error).__name__)
            raise ServiceUnavailable from error


def _json(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (UUID, Decimal)):
        return str(value)
    return value


def _translated(function: str, error: APIError) -> Exception:
    code = error.code or ""
    if code == "CK400":
        return ValueError(function)
    if code == "CK401":
        return InvalidToken("This API key is not valid any more.")
    if code == "CK403":
        return Forbidden()
    if code == "CK404":
        return LookupError(function)
    if code == "CK409":
        return OpenHoldsError()
    if code in ("CK402", "CK429"):
        try:
            return _refusal(code, orjson.loads(error.details or ""))
        except (TypeError, ValueError, LookupError):
            pass  # Not what our functions say: it is told as any other code.
    if code.startswith(_DEFECTS):
        _log.error("database_refused", function=function, code=code)
        return InternalError()
    hint = "run chuk migrate" if code == _NOT_MIGRATED else None
    _log.warning("database_failed", function=function, code=code, hint=hint)
    return ServiceUnavailable()


def _refusal(code: str, detail: dict[str, Any]) -> Exception:
    if code == "CK402":
        return InsufficientCredits(
            required=euros(MicroEuro(int(detail["required"]))),
            available=euros(MicroEuro(int(detail["available"]))),
            operation=str(detail["operation"]),
        )
    return QuotaExceeded(
        period=str(detail["period"]),
        cap=euros(MicroEuro(int(detail["cap"]))),
        spent=euros(MicroEuro(int(detail["spent"]))),
        **{name: str(detail[name]) for name in ("api_key_id",) if name in detail},
    )
