"""The areas whose services this deployment does not have: accounts and billing.

Their routes answer 503 `FEATURE_DISABLED`, as the contract says for a server without Stripe. For
a webhook that is also the safe answer: Stripe keeps an event that met a 5xx and sends it again.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from chuk.errors import FeatureDisabled
from chuk.web.routes import Auth, Handler, Route, RouteTable


def _off(sentence: str) -> Handler:
    async def off(_request: web.Request) -> Any:
        raise FeatureDisabled(sentence)

    return off


def _route(method: str, path: str, sentence: str, tag: str, auth: Auth = Auth.BEARER) -> Route:
    return Route(
        method,
        path,
        _off(sentence),
        sentence,
        tag,
        auth=auth,
        bucket=None if auth is Auth.NONE else "other",
        errors=(FeatureDisabled,),
    )


def build_user(routes: RouteTable) -> web.Application:
    """`/v1/user`."""
    app = web.Application()
    sentence = "This server keeps no accounts."
    routes.mount(
        app,
        "/v1/user",
        [
            _route("GET", "/status", sentence, "user"),
            _route("DELETE", "/delete-account", sentence, "user"),
        ],
    )
    return app


def build_stripe(routes: RouteTable) -> web.Application:
    """`/v1/stripe`."""
    app = web.Application()
    sentence = "Billing is switched off on this server."
    paths = ("/create-checkout-session", "/create-portal-session", "/sync-subscription")
    routes.mount(app, "/v1/stripe", [_route("POST", path, sentence, "billing") for path in paths])
    return app


def build_webhooks(routes: RouteTable) -> web.Application:
    """`/webhooks`."""
    app = web.Application()
    sentence = "Billing is switched off on this server."
    routes.mount(app, "/webhooks", [_route("POST", "/stripe", sentence, "billing", Auth.NONE)])
    return app
