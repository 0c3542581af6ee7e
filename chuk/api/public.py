"""What anybody may ask: who this is, whether it is well, which models there are."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web
from marshmallow import Schema, fields, validate

from chuk import __version__
from chuk.api.keys import HEALTH, OPENAPI
from chuk.api.model_list import Model, models
from chuk.errors import ServiceUnavailable
from chuk.web.envelope import render_data
from chuk.web.keys import CONNECTIONS, PRESENCE
from chuk.web.routes import Auth, Route, RouteTable

# Not `application/json`: the document is read by tools as it is, so it has no envelope.
OPENAPI_TYPE = "application/vnd.oai.openapi+json"


class About(Schema):
    """Who answers, and where to read on."""

    name = fields.Str(required=True)
    version = fields.Str(required=True)
    docs = fields.Str(required=True)
    health = fields.Str(required=True)
    openapi = fields.Str(required=True)


class Health(Schema):
    """Whether the server is well. `active_connections`: open chat streams and sockets.

    Those of all processes that share: its own now, the others' of some seconds ago.
    """

    status = fields.Str(required=True, validate=validate.OneOf(["ok", "draining", "unavailable"]))
    active_connections = fields.Int(required=True)
    version = fields.Str(required=True)


async def about(request: web.Request) -> dict[str, Any]:
    """Name, version and links."""
    return {
        "name": "Chuk Chat",
        "version": __version__,
        "docs": "/docs",
        "health": "/health",
        "openapi": "/openapi.json",
    }


async def health(request: web.Request) -> web.Response:
    """200 when chats can be served; 503 while draining or when a needed part is down."""
    services = request.config_dict
    status = services[HEALTH].status()
    body = {
        "status": status,
        "active_connections": len(services[CONNECTIONS]) + services[PRESENCE].others,
        "version": __version__,
    }
    return render_data(
        request,
        body,
        status=200 if status == "ok" else 503,
        headers={"Cache-Control": "no-store"},
    )


async def openapi(request: web.Request) -> web.Response:
    """The OpenAPI 3.1 document."""
    document = request.config_dict[OPENAPI]
    return web.Response(body=orjson.dumps(document), headers={"Content-Type": OPENAPI_TYPE})


def build(routes: RouteTable, root: web.Application) -> web.Application:
    """Mount the root routes (aiohttp has no sub-application at `/`) and return the one of `/v1`."""
    routes.mount(
        root,
        "",
        [
            Route("GET", "/", about, "Name and links", "public", auth=Auth.NONE, response=About),
            Route(
                "GET",
                "/health",
                health,
                "Whether the server is well",
                "public",
                auth=Auth.NONE,
                bucket=None,
                response=Health,
            ),
            Route(
                "GET",
                "/openapi.json",
                openapi,
                "This document",
                "public",
                auth=Auth.NONE,
                media_type=OPENAPI_TYPE,
            ),
        ],
    )
    v1 = web.Application()
    routes.mount(
        v1,
        "/v1",
        [
            Route(
                "GET",
                "/models_info",
                models,
                "The model list",
                "models",
                auth=Auth.NONE,
                response=Model,
                many=True,
                errors=(ServiceUnavailable,),
            )
        ],
    )
    return v1
