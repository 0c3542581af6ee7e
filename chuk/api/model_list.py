"""The model list, for everybody and for the signed-in user."""

from __future__ import annotations

import orjson
from aiohttp import hdrs, web
from aiohttp.helpers import ETAG_ANY
from marshmallow import Schema, fields, validate

from chuk.api.keys import CATALOG
from chuk.web.envelope import render_data, request_profile

_MAX_AGE = 60


class Pricing(Schema):
    """US dollars for each token, request or image."""

    prompt = fields.Float(required=True)
    completion = fields.Float(required=True)
    request = fields.Float(required=True)
    image = fields.Float(required=True, allow_none=True)


class Provider(Schema):
    """Who serves a model, without keeping anything of it."""

    slug = fields.Str(required=True)
    name = fields.Str(required=True)
    icon_url = fields.Str(required=True, allow_none=True)
    pricing = fields.Nested(Pricing, required=True)
    context_length = fields.Int(required=True)
    max_completion_tokens = fields.Int(required=True, allow_none=True)
    is_moderated = fields.Bool(required=True)


class Model(Schema):
    """A model, with at least one provider."""

    id = fields.Str(required=True)
    name = fields.Str(required=True)
    description = fields.Str(required=True)
    icon_url = fields.Str(required=True, allow_none=True)
    supports_vision = fields.Bool(required=True)
    supports_reasoning = fields.Bool(required=True)
    context_length = fields.Int(required=True)
    upstream = fields.Str(
        required=True, metadata={"description": "Which of the server's upstreams it lives at."}
    )
    providers = fields.List(fields.Nested(Provider), required=True, validate=validate.Length(min=1))


async def models(request: web.Request) -> web.StreamResponse:
    """The list, or 304 where the client has this very one.

    The tag names the list and the profile; the envelope's time stamp and request id change with
    each answer, which a weak tag allows (RFC 9110 §8.8.1).
    """
    catalog = request.config_dict[CATALOG]
    body = catalog.json()
    tag = f"{catalog.version}-{request_profile(request)}"
    headers: dict[str, str] = {
        hdrs.ETAG: f'W/"{tag}"',
        hdrs.CACHE_CONTROL: f"max-age={_MAX_AGE}",
        hdrs.VARY: hdrs.ACCEPT,
    }
    if any(known.value in (tag, ETAG_ANY) for known in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return render_data(request, orjson.Fragment(body), headers=headers)
