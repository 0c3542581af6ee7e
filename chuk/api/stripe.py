"""The `/v1/stripe` area: subscribe, manage, sync.

The app sends a JSON content type and an empty body.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web
from marshmallow import Schema, fields

from chuk.api.keys import CHECKOUT, STATUS, SUBSCRIPTIONS
from chuk.api.status_schema import UserStatus
from chuk.billing.status import status_object
from chuk.errors import (
    AlreadySubscribed,
    BillingError,
    ChukError,
    FeatureDisabled,
    Forbidden,
    NoSubscription,
    ProviderError,
    ProviderTimeout,
    ServiceUnavailable,
)
from chuk.web.bodies import read_empty_body
from chuk.web.keys import PRINCIPAL, SETTINGS
from chuk.web.routes import Handler, Route, RouteTable

PREFIX = "/v1/stripe"
OFF = "Billing is switched off on this server."
_MAX_BODY = 65_536
_FAILURES = (
    BillingError,
    ProviderError,
    ServiceUnavailable,
    ProviderTimeout,
    FeatureDisabled,
)


class CheckoutPage(Schema):
    """Where to subscribe."""

    checkout_url = fields.Url(required=True)


class PortalPage(Schema):
    """Where to manage the subscription."""

    portal_url = fields.Url(required=True)


def build(routes: RouteTable, *, is_on: bool) -> web.Application:
    """The area as a sub-application.

    Args:
        is_on: False where billing is not configured: every route then says so.
    """
    app = web.Application()
    table: tuple[tuple[str, Handler, str, type[Schema], tuple[type[ChukError], ...]], ...] = (
        (
            "/create-checkout-session",
            create_checkout,
            "Start the subscription",
            CheckoutPage,
            (AlreadySubscribed, Forbidden),
        ),
        (
            "/create-portal-session",
            create_portal,
            "Manage the subscription",
            PortalPage,
            (NoSubscription,),
        ),
        ("/sync-subscription", sync, "Pull the state from Stripe now", UserStatus, ()),
    )
    routes.mount(
        app,
        PREFIX,
        [
            Route(
                "POST",
                path,
                handler if is_on else switched_off,
                summary,
                "billing",
                max_body=_MAX_BODY,
                response=response,
                errors=(*errors, *_FAILURES),
            )
            for path, handler, summary, response, errors in table
        ],
    )
    return app


async def create_checkout(request: web.Request) -> dict[str, Any]:
    """Start the subscription."""
    await _read(request)
    checkout = request.config_dict[CHECKOUT]
    user_id = request[PRINCIPAL].user_id
    return {"checkout_url": await checkout.start(user_id, app_url(request))}


async def create_portal(request: web.Request) -> dict[str, Any]:
    """Manage the subscription."""
    await _read(request)
    checkout = request.config_dict[CHECKOUT]
    user_id = request[PRINCIPAL].user_id
    return {"portal_url": await checkout.portal(user_id, app_url(request))}


async def sync(request: web.Request) -> dict[str, Any]:
    """Pull the state from Stripe, and answer as the status does."""
    await _read(request)
    user_id = request[PRINCIPAL].user_id
    await request.config_dict[SUBSCRIPTIONS].sync(user_id)
    return status_object(await request.config_dict[STATUS].status_of(user_id))


async def switched_off(_request: web.Request) -> Any:
    """Billing is not configured."""
    raise FeatureDisabled(OFF)


def app_url(request: web.Request) -> str:
    """Where Stripe sends people back to, without a slash at the end."""
    server = request.config_dict[SETTINGS].server
    served = f"{request.scheme}://{request.host}"
    return (server.app_url or server.public_url or served).rstrip("/")


async def _read(request: web.Request) -> None:
    timeout = request.config_dict[SETTINGS].server.body_timeout
    await read_empty_body(request, max_bytes=_MAX_BODY, timeout=timeout)
