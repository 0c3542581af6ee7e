"""The `/v1/user` area: what a user has, what it went for, and the user's own limits."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from chuk.api import api_keys, deletion
from chuk.api.keys import CREDITS, RECEIPTS, STATUS
from chuk.api.status_schema import UserStatus
from chuk.api.usage_schemas import SpendingCapBody, Usage, UsageQuery, cap_object
from chuk.billing.status import status_object
from chuk.credits.ledger import SpendingCap
from chuk.credits.receipts import receipt_object, sum_object
from chuk.errors import ServiceUnavailable, UnsupportedFormat
from chuk.web.bodies import read_form
from chuk.web.keys import PRINCIPAL, SETTINGS
from chuk.web.routes import Route, RouteTable
from chuk.web.validation import checked

PREFIX = "/v1/user"

_QUERY = UsageQuery()
_CAP = SpendingCapBody()
_MAX_BODY = 4_096


async def status(request: web.Request) -> dict[str, Any]:
    """Subscription, credits, free messages: contract §9."""
    desk = request.config_dict[STATUS]
    return status_object(await desk.status_of(request[PRINCIPAL].user_id))


async def usage(request: web.Request) -> dict[str, Any]:
    """Receipts, newest first; with `by`, sums instead."""
    query = checked(_QUERY, dict(request.query))
    receipts = request.config_dict[RECEIPTS]
    user_id = request[PRINCIPAL].user_id
    since, until, by = query["since"], query["until"], query["by"]
    if by is not None:
        sums = await receipts.sums(user_id, by, since=since, until=until)
        return {"by": by, "sums": [sum_object(each) for each in sums]}
    page = await receipts.page(
        user_id, limit=query["limit"], cursor=query["cursor"], since=since, until=until
    )
    return {
        "receipts": [receipt_object(each) for each in page.receipts],
        "next_cursor": page.next_cursor,
    }


async def spending_cap(request: web.Request) -> dict[str, Any]:
    """The user's own limits."""
    cap = await request.config_dict[CREDITS].spending_cap(request[PRINCIPAL].user_id)
    return cap_object(cap)


async def set_spending_cap(request: web.Request) -> dict[str, Any]:
    """Replace both limits; null takes one away."""
    services = request.config_dict
    form = await read_form(
        request, max_bytes=_MAX_BODY, timeout=services[SETTINGS].server.body_timeout
    )
    fields = checked(_CAP, form.values)
    cap = SpendingCap(daily=fields["daily_eur"], monthly=fields["monthly_eur"])
    await services[CREDITS].set_spending_cap(request[PRINCIPAL].user_id, cap)
    return cap_object(cap)


def build(routes: RouteTable) -> web.Application:
    """The area as a sub-application."""
    app = web.Application()
    routes.mount(app, PREFIX, ROUTES)
    return app


ROUTES: list[Route] = [
    Route(
        "GET",
        "/status",
        status,
        "Subscription, credits and free messages",
        "user",
        response=UserStatus,
        errors=(ServiceUnavailable,),
    ),
    Route(
        "GET",
        "/usage",
        usage,
        "What the credits went for: receipts, or sums by day or model",
        "user",
        query=UsageQuery,
        response=Usage,
        errors=(ServiceUnavailable,),
    ),
    Route(
        "GET",
        "/spending-cap",
        spending_cap,
        "The user's own limits",
        "user",
        response=SpendingCapBody,
        errors=(ServiceUnavailable,),
    ),
    Route(
        "PUT",
        "/spending-cap",
        set_spending_cap,
        "Replace the user's own limits",
        "user",
        max_body=_MAX_BODY,
        request=SpendingCapBody,
        response=SpendingCapBody,
        errors=(ServiceUnavailable, UnsupportedFormat),
    ),
    *api_keys.ROUTES,
    deletion.ROUTE,
]
