"""Browsers from other origins: exact origins, on every answer, errors included."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

import aiohttp_cors
from aiohttp import hdrs, web

from chuk.web.loopback import asked_host, is_numeric

_EXPOSED = (
    "X-Request-ID",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "Retry-After",
    "ETag",
    "X-Voice",
    "Idempotency-Replayed",
)
_PREFLIGHT_SECONDS = 600


def allow_origins(root: web.Application, origins: Sequence[str]) -> None:
    """Let pages of these origins call every route. Call it after the last `add_subapp`."""
    if not origins:
        return
    options = aiohttp_cors.ResourceOptions(  # type: ignore[no-untyped-call]
        expose_headers=_EXPOSED, allow_headers="*", max_age=_PREFLIGHT_SECONDS
    )
    cors = aiohttp_cors.setup(root, defaults=dict.fromkeys(origins, options))
    for route in list(root.router.routes()):
        # aiohttp has already added HEAD beside GET; one entry covers the resource.
        if route.method != hdrs.METH_HEAD:
            cors.add(route)
    allowed = frozenset(origins)

    async def complete(request: web.Request, response: web.StreamResponse) -> None:
        # aiohttp-cors leaves 404 and 405 without headers, and never says that the answer
        # differs by origin, which a cache must know.
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        origin = request.headers.get(hdrs.ORIGIN)
        if origin in allowed and hdrs.ACCESS_CONTROL_ALLOW_ORIGIN not in response.headers:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = ",".join(_EXPOSED)

    root.on_response_prepare.append(complete)


def may_connect(request: web.BaseRequest, origins: Sequence[str], public_url: str) -> bool:
    """Whether a WebSocket may be opened: CORS does not cover them, so the origin is checked here.

    Native apps send no origin. Our own pages come from the public address; or from the one that
    they ask, where that is a number or this machine: a name could be made to point here by anybody.
    """
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None or origin in origins:
        return True
    if origin == f"{request.scheme}://{request.host}" and is_numeric(asked_host(request)):
        return True
    own = urlsplit(public_url)
    return bool(own.netloc) and origin == f"{own.scheme}://{own.netloc}"
