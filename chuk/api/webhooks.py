"""The `/webhooks` area: what Stripe tells us."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from marshmallow import Schema, fields

from chuk.api.keys import EVENT_READER, INBOX
from chuk.errors import FeatureDisabled, ProviderError, ProviderTimeout, ServiceUnavailable
from chuk.web.bodies import read_body
from chuk.web.keys import SETTINGS
from chuk.web.routes import Auth, Route, RouteTable

PREFIX = "/webhooks"
OFF = "Billing is switched off on this server."
MAX_BODY = 512_000


class Received(Schema):
    """The event is kept, and has done what it should."""

    received = fields.Bool(required=True)


def build(routes: RouteTable, *, is_on: bool) -> web.Application:
    """The area as a sub-application.

    Args:
        is_on: False where billing is not configured. The 503 is then the safe answer: Stripe
            keeps an event that met it and sends it again.
    """
    app = web.Application()
    routes.mount(
        app,
        PREFIX,
        [
            Route(
                "POST",
                "/stripe",
                stripe if is_on else switched_off,
                "Events from Stripe",
                "billing",
                auth=Auth.NONE,
                bucket=None,
                max_body=MAX_BODY,
                response=Received,
                errors=(ProviderError, ServiceUnavailable, ProviderTimeout, FeatureDisabled),
            )
        ],
    )
    return app


async def stripe(request: web.Request) -> dict[str, Any]:
    """Keep one event and apply it. Anything but 200 makes Stripe send it again."""
    timeout = request.config_dict[SETTINGS].server.body_timeout
    body = await read_body(request, max_bytes=MAX_BODY, timeout=timeout)
    signature = request.headers.get("Stripe-Signature", "")
    incoming = request.config_dict[EVENT_READER].read(body, signature)
    await request.config_dict[INBOX].receive(incoming)
    return {"received": True}


async def switched_off(_request: web.Request) -> Any:
    """Billing is not configured."""
    raise FeatureDisabled(OFF)
