"""The chain that every request passes, outermost first:

1. `identify`: the request's id, and one log line and one count when it is over
2. `render_errors`: every error, the framework's own included, in the client's wire profile
3. `limit_bodies`: a body that announces itself as too large is refused unread
4. `require_auth`: a principal, for every route that does not say otherwise
5. `limit_rates`: the user's or the address's bucket
6. `require_right`: the principal's account is not locked, and its API key, if it is one, may do
   this; counted before, so that whoever is refused is limited too

Preflights pass 3 to 6: browsers send them without a token.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from random import getrandbits

from aiohttp import hdrs, web
from aiohttp_sse import EventSourceResponse

from chuk.accounts.bearers import Bearers, require_scope
from chuk.accounts.locks import LockedAccounts
from chuk.errors import (
    ChukError,
    FileTooLarge,
    Forbidden,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    RateLimited,
    TokenExpired,
    Unauthorized,
)
from chuk.logs import log_failure, logger
from chuk.web.addresses import ClientAddresses
from chuk.web.auth import authenticate
from chuk.web.envelope import error_event, render_error, request_profile
from chuk.web.keys import AUTH_FAILURE, PREPARED, PRINCIPAL, RATE_DECISION, REQUEST_ID
from chuk.web.limits import RateLimits
from chuk.web.request_meter import RequestMeter
from chuk.web.routes import Auth, RouteTable

Next = Callable[[web.Request], Awaitable[web.StreamResponse]]
_log = logger("http")
BANNER = "chuk"
_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def _new_id() -> str:
    """128 bits that tell requests apart. They guard nothing, so the kernel need not be asked."""
    return f"{getrandbits(128):032x}"


def identify(meter: RequestMeter) -> Callable[..., Awaitable[web.StreamResponse]]:
    """Give the request its id; log and count what became of it."""

    @web.middleware
    async def middleware(request: web.Request, handler: Next) -> web.StreamResponse:
        offered = request.headers.get("X-Request-ID", "")
        request_id = request[REQUEST_ID] = offered if _SANE_ID.fullmatch(offered) else _new_id()
        started = time.perf_counter()
        status = 499  # what nginx calls a client that left before its answer
        resource = request.match_info.route.resource
        route = None if resource is None else resource.canonical
        with meter.request(request.method, route, request_id) as measured:
            try:
                response: web.StreamResponse = await handler(request)
                status = response.status
                return response
            finally:
                seconds = time.perf_counter() - started
                principal = request.get(PRINCIPAL)
                _log.info(
                    "request",
                    id=request_id,
                    method=request.method,
                    route=route,
                    status=status,
                    ms=round(seconds * 1000, 1),
                    user=None if principal is None else principal.log_name,
                )
                measured.end(status, seconds)

    return middleware


@web.middleware
async def render_errors(request: web.Request, handler: Next) -> web.StreamResponse:
    """Turn whatever was raised into the answer, or into the open stream's last event."""
    try:
        return await handler(request)
    except ChukError as raised:
        error = raised
    except web.HTTPException as raised:
        if raised.status < 400:
            raise
        error = _translated(raised)
    except Exception as raised:
        log_failure("http", raised, id=request[REQUEST_ID])
        error = InternalError(request[REQUEST_ID])
    profile = request_profile(request)
    prepared: web.StreamResponse | None = request.get(PREPARED)
    if prepared is None:
        return render_error(profile, error)
    # The headers are out; aiohttp would write a second response into this one's body.
    if isinstance(prepared, EventSourceResponse):
        await prepared.write(b"data: %b\n\n" % error_event(profile, error))
        await prepared.write_eof()
    return prepared


def _translated(error: web.HTTPException) -> ChukError:
    """The framework's own errors, in ours."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        return MethodNotAllowed(sorted(error.allowed_methods))
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return FileTooLarge(int(error.headers.get("X-Max-Size", 0)))
    if error.status == 404:
        return NotFound()
    if error.status == 403:
        return Forbidden()
    return InvalidRequest() if error.status < 500 else InternalError()


def limit_bodies(routes: RouteTable) -> Callable[..., Awaitable[web.StreamResponse]]:
    """Refuse a body that says it is too large. One that does not say is counted when read."""

    @web.middleware
    async def middleware(request: web.Request, handler: Next) -> web.StreamResponse:
        size = request.content_length
        if size:
            route = routes.of(request)
            if route is not None and size > route.max_body:
                raise FileTooLarge(route.max_file or route.max_body, size)
        return await handler(request)

    return middleware


def require_auth(
    routes: RouteTable,
    verifier: Bearers,
    rate_limits: RateLimits,
    addresses: ClientAddresses,
    locks: LockedAccounts,
) -> Callable[..., Awaitable[web.StreamResponse]]:
    """Verify the token or the API key wherever the route does not say otherwise."""

    @web.middleware
    async def middleware(request: web.Request, handler: Next) -> web.StreamResponse:
        route = routes.of(request)
        if route is None or route.auth is Auth.NONE:
            return await handler(request)
        try:
            await authenticate(request, verifier)
        except Unauthorized as failure:
            if route.auth is Auth.BEARER:
                decision = await rate_limits.take("address", addresses.of(request))
                request[RATE_DECISION] = decision
                if not decision.allowed:
                    raise RateLimited(
                        retry_after=decision.retry_after, limit=decision.limit
                    ) from None
                if isinstance(failure, TokenExpired) and failure.user_id is not None:
                    # Of an erased account it is no use to sign in again.
                    await locks.check(failure.user_id)
                raise
            # A browser sees nothing of an HTTP error before the upgrade: the socket says it.
            request[AUTH_FAILURE] = failure
        return await handler(request)

    return middleware


def limit_rates(
    routes: RouteTable, rate_limits: RateLimits, addresses: ClientAddresses
) -> Callable[..., Awaitable[web.StreamResponse]]:
    """Count the request against its user, or against its address where nobody is signed in."""

    @web.middleware
    async def middleware(request: web.Request, handler: Next) -> web.StreamResponse:
        route = routes.of(request)
        if route is None and is_preflight(request):
            return await handler(request)
        bucket = "other" if route is None else route.bucket
        if bucket is None:
            return await handler(request)
        principal = request.get(PRINCIPAL)
        if principal is None:
            decision = await rate_limits.take("address", addresses.of(request))
        else:
            decision = await rate_limits.take(bucket, str(principal.user_id))
        request[RATE_DECISION] = decision
        if not decision.allowed:
            raise RateLimited(retry_after=decision.retry_after, limit=decision.limit)
        return await handler(request)

    return middleware


def require_right(
    routes: RouteTable, locks: LockedAccounts
) -> Callable[..., Awaitable[web.StreamResponse]]:
    """Refuse a locked account, and an API key without the scope that the route needs."""

    @web.middleware
    async def middleware(request: web.Request, handler: Next) -> web.StreamResponse:
        route, principal = routes.of(request), request.get(PRINCIPAL)
        # A socket's messages are each looked at by themselves.
        if route is not None and route.auth is Auth.BEARER and principal is not None:
            if not route.allows_locked:
                await locks.check(principal.user_id)
            require_scope(principal, route.scope)
        return await handler(request)

    return middleware


def is_preflight(request: web.BaseRequest) -> bool:
    """Whether a browser asks what it may send (https://fetch.spec.whatwg.org/#cors-preflight)."""
    return (
        request.method == hdrs.METH_OPTIONS
        and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
    )


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Headers of every answer; also remembers that the answer has begun.

    Connected to `on_response_prepare`, because what a middleware sets after a stream's handler
    has returned is lost.
    """
    request[PREPARED] = response
    request_id = request.get(REQUEST_ID)
    if request_id is not None:
        response.headers["X-Request-ID"] = request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    # Else the framework names itself and its version, to whoever looks for a hole in it.
    response.headers[hdrs.SERVER] = BANNER
    if PRINCIPAL in request and hdrs.ETAG not in response.headers:
        # It is about one person, and none of the machines between needs a copy.
        response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
    decision = request.get(RATE_DECISION)
    if decision is not None:
        response.headers.update(decision.headers)
