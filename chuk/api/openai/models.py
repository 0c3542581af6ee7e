"""`GET /v1/models`: the models in OpenAI's shape, those that make vectors too."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from marshmallow import Schema, fields

from chuk.api.keys import CATALOG, EMBEDDINGS
from chuk.errors import ModelNotFound

# OpenAI says when each model was made, which nobody here knows.
_UNKNOWN = 0


class OpenAIModel(Schema):
    """A model. `created` is not known here and always 0; `/v1/models_info` tells the rest."""

    id = fields.Str(required=True)
    object = fields.Str(required=True)
    created = fields.Int(required=True)
    owned_by = fields.Str(required=True)


class OpenAIModels(Schema):
    """All of them."""

    object = fields.Str(required=True)
    data = fields.List(fields.Nested(OpenAIModel), required=True)


async def list_models(request: web.Request) -> dict[str, Any]:
    """Every model that can be chatted with, then those that make vectors."""
    return {"object": "list", "data": [_model(name) for name in await _names(request)]}


async def retrieve_model(request: web.Request) -> dict[str, Any]:
    """One model; its id may have slashes."""
    name = request.match_info["id"]
    if name not in await _names(request):
        raise ModelNotFound(name)
    return _model(name)


async def _names(request: web.Request) -> list[str]:
    services = request.config_dict
    services[CATALOG].json()
    names = [model.id for model in services[CATALOG].models]
    embeddings = services.get(EMBEDDINGS)
    if embeddings is not None:
        names += [model.id for model in await embeddings.models() if model.id not in names]
    return names


def _model(name: str) -> dict[str, Any]:
    owner, slash, _ = name.partition("/")
    return {
        "id": name,
        "object": "model",
        "created": _UNKNOWN,
        "owned_by": owner if slash else "chuk",
    }
