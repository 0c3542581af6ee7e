"""Calls Stripe's API: one client, pinned to one version, whose every failure is one of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import aiohttp
import stripe

from chuk.errors import (
    BillingError,
    ChukError,
    ProviderError,
    ProviderTimeout,
    ServiceUnavailable,
)
from chuk.logs import logger

VERSION = "2026-10-28.endive"
"""The API version whose shapes `stripe_objects` reads, whatever the account's default is."""

_MAX_ANSWER = 16 * 2**20

_FAILED = "The payment provider answered with an error. Please try again."
_TOO_SLOW = "The payment provider took too long to answer. Please try again."
_BUSY = "The payment provider is busy. Please try again in a moment."


class StripeClient:
    """Sends requests to Stripe.

    A call that failed on the way is tried again: its idempotency key makes that safe.

    Args:
        session: shared with the other upstream calls.
        timeout: seconds for one call, all its attempts together.
        retries: further attempts of one call.
        sleep: how it waits between attempts.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        secret_key: str,
        base_url: str,
        timeout: float,
        retries: int = 2,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        # The library would write an id into the home folder and send it with every request.
        stripe.enable_telemetry = False
        self._timeout = timeout
        self._client = stripe.StripeClient(
            secret_key,
            http_client=_Transport(session, sleep),
            base_addresses={"api": base_url.rstrip("/")},
            max_network_retries=retries,
            stripe_version=VERSION,
        )

    async def get(self, path: str, **params: Any) -> Mapping[str, Any]:
        """Read.

        Raises:
            ChukError: as `chuk.billing.ports.PaymentProvider` says.
        """
        return await self._call("get", path, params)

    async def find(self, path: str, **params: Any) -> Mapping[str, Any] | None:
        """Read what may not be there: None for an unknown object."""
        try:
            return await self._call("get", path, params)
        except Missing:
            return None

    async def post(self, path: str, key: str, **params: Any) -> Mapping[str, Any]:
        """Write once for each key."""
        return await self._call("post", path, {**params, "idempotency_key": key})

    async def delete(self, path: str, **params: Any) -> None:
        """Delete; what is gone already stays gone."""
        try:
            await self._call("delete", path, params)
        except Missing:
            return

    async def _call(
        self, method: Literal["get", "post", "delete"], path: str, params: dict[str, Any]
    ) -> Mapping[str, Any]:
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._client.raw_request_async(method, path, **params)
        except TimeoutError:
            raise ProviderTimeout(_TOO_SLOW) from None
        except UnicodeDecodeError:
            # The library writes an answer into its log before it looks at it.
            raise nonsense() from None
        except stripe.StripeError as error:
            failure = _translated(error)
            if not isinstance(failure, Missing):
                # Its sentence may quote an address or a card: its words for programs will do.
                logger("stripe").warning(
                    "stripe_call_failed",
                    path=path.split("/")[2],
                    status=error.http_status,
                    error=type(error).__name__,
                    reason=error.code,
                )
            raise failure from None
        data = answer.data
        if not isinstance(data, Mapping):
            raise nonsense()
        return data


class Missing(BillingError):
    """What a call names does not exist at Stripe."""


class _Transport(stripe.AIOHTTPClient):
    """The library's own client on our session; a body that breaks off is tried again, too."""

    def __init__(
        self, session: aiohttp.ClientSession, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        # No timeout of its own: the caller's covers all attempts.
        super().__init__(timeout=None, session=session)
        self._sleep = sleep

    def sleep_async(self, secs: float) -> Awaitable[None]:
        return self._sleep(secs)

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        try:
            args, options = self._get_request_args_kwargs(method, url, headers, post_data)
            async with self._session.request(*args, **options) as answer:
                content = bytearray()
                async for piece in answer.content.iter_any():
                    content += piece
                    if len(content) > _MAX_ANSWER:
                        answer.close()
                        raise aiohttp.ClientPayloadError("an answer without an end")
                return bytes(content), answer.status, answer.headers
        except (aiohttp.ClientError, OSError) as error:
            self._handle_request_error(error)

    def _get_request_args_kwargs(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any
    ) -> tuple[Any, dict[str, Any]]:
        args, options = super()._get_request_args_kwargs(method, url, headers, post_data)
        # Stripe never sends anybody elsewhere, and our key must not go there.
        return args, {**options, "allow_redirects": False}


def is_live(secret_key: str) -> bool:
    """Whether a key, secret or restricted, moves real money."""
    return secret_key.startswith(("sk_live_", "rk_live_"))


def nonsense() -> ProviderError:
    """Stripe's answer is not what its documentation promises."""
    return ProviderError(_FAILED)


def _translated(error: stripe.StripeError) -> ChukError:
    status = error.http_status
    if status == 404 or error.code == "resource_missing":
        return Missing()
    if isinstance(error, stripe.RateLimitError):
        return ServiceUnavailable(_BUSY, retry_after=1)
    if isinstance(error, stripe.CardError | stripe.InvalidRequestError):
        return BillingError()
    # Our own key and account (401, 403), a key used twice, a broken line, a 5xx, no JSON.
    return ProviderError(_FAILED)
