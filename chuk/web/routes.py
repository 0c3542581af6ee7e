"""The table of routes: one entry says all that the server and its OpenAPI document need."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from aiohttp import web
from marshmallow import Schema

from chuk.accounts.principal import Scope
from chuk.errors import ChukError
from chuk.web.envelope import render_data

Handler = Callable[[web.Request], Awaitable[Any]]
_SMALL_BODY = 65_536


class Auth(Enum):
    """Who may call."""

    BEARER = "a bearer token"
    NONE = "anybody; an Authorization header is ignored"
    SOCKET = "anybody may connect; each message needs a signed-in user"


@dataclass(frozen=True)
class Route:
    """One method on one path.

    Attributes:
        handler: returns data for the envelope, or a response of its own (streams, documents).
        bucket: which rate limit counts it: per user when signed in, else per address;
            None: not limited.
        max_body: bytes.
        max_file: bytes of the one file in the body, where that is what the limit is about.
        request, query, response: the schemas that check and describe; `many`: the response is a
            list of them.
        media_type: of a successful answer, where it is not the envelope's JSON; several where
            the request chooses.
        errors: what it can answer besides the errors of every route.
        scope: what a personal API key must be allowed to do here; None: no key may call it, only
            a signed-in user.
        allows_locked: whether it also serves an account that is under deletion.
        takes_key: whether an `Idempotency-Key` makes it safe to send again.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    tag: str
    auth: Auth = Auth.BEARER
    bucket: str | None = "other"
    max_body: int = _SMALL_BODY
    max_file: int | None = None
    request: type[Schema] | None = None
    request_types: tuple[str, ...] = ("application/json",)
    query: type[Schema] | None = None
    response: type[Schema] | None = None
    many: bool = False
    media_type: str | tuple[str, ...] | None = None
    errors: tuple[type[ChukError], ...] = ()
    scope: Scope | None = None
    allows_locked: bool = False
    takes_key: bool = False


class RouteTable:
    """All routes of the application, found again by the handler that aiohttp resolved."""

    def __init__(self) -> None:
        self.all: list[tuple[str, Route]] = []
        self._by_endpoint: dict[Any, Route] = {}

    def mount(self, app: web.Application, prefix: str, routes: Iterable[Route]) -> None:
        """Add routes to a (sub-)application that will live under `prefix`."""
        for route in routes:
            endpoint = _endpoint(route)
            if route.method == "GET":
                app.router.add_get(route.path, endpoint, expect_handler=_expect_later)
            else:
                app.router.add_route(
                    route.method, route.path, endpoint, expect_handler=_expect_later
                )
            self._by_endpoint[endpoint] = route
            self.all.append((f"{prefix}{route.path}", route))

    def of(self, request: web.Request) -> Route | None:
        """The route that serves a request; None for 404, 405 and preflights."""
        return self._by_endpoint.get(request.match_info.handler)


def _endpoint(route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    handler = route.handler

    async def endpoint(request: web.Request) -> web.StreamResponse:
        result = await handler(request)
        if isinstance(result, web.StreamResponse):
            return result
        return render_data(request, result)

    return endpoint


async def _expect_later(_request: web.Request) -> None:
    """Do not answer `Expect: 100-continue` yet: the body reader does, once it wants the body."""
