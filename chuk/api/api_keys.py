"""`/v1/user/api-keys`: a user's personal API keys. None of it can be done with such a key."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from aiohttp import hdrs, web
from marshmallow import EXCLUDE, Schema, fields, validate

from chuk.accounts.api_keys import LONGEST_NAME, MOST_KEYS
from chuk.accounts.ports import ApiKey
from chuk.accounts.principal import Scope
from chuk.api.keys import API_KEYS
from chuk.api.usage_schemas import Euros, Moment
from chuk.clock import iso_z
from chuk.credits.money import euros
from chuk.errors import Forbidden, NotFound, ServiceUnavailable, UnsupportedFormat
from chuk.web.bodies import read_form
from chuk.web.envelope import render_data
from chuk.web.keys import PRINCIPAL, SETTINGS
from chuk.web.routes import Route
from chuk.web.validation import checked

_MAX_BODY = 4_096
_SCOPES = [scope.value for scope in Scope]


class ApiKeyBody(Schema):
    """The key that is wanted."""

    class Meta:
        unknown = EXCLUDE

    name = fields.Str(required=True, validate=validate.Length(1, LONGEST_NAME))
    scopes = fields.List(
        fields.Str(validate=validate.OneOf(_SCOPES)),
        load_default=_SCOPES,
        validate=validate.Length(min=1),
        metadata={"description": "What the key may do; everything, unless said otherwise."},
    )
    monthly_budget_eur = Euros(
        load_default=None,
        allow_none=True,
        metadata={"description": "The most that is spent through it in a UTC month; over 0."},
    )
    expires_at = Moment(
        load_default=None,
        allow_none=True,
        metadata={"type": "string", "description": "A day or a moment to come."},
    )


class ApiKeyObject(Schema):
    """A key, without what is secret of it."""

    id = fields.UUID(required=True)
    name = fields.Str(required=True)
    last_four = fields.Str(required=True)
    scopes = fields.List(fields.Str(validate=validate.OneOf(_SCOPES)), required=True)
    monthly_budget_eur = fields.Float(required=True, allow_none=True)
    spent_this_month_eur = fields.Float(required=True)
    created_at = fields.DateTime(required=True)
    expires_at = fields.DateTime(required=True, allow_none=True)
    last_used_at = fields.DateTime(
        required=True, allow_none=True, metadata={"description": "To a minute or so."}
    )


class NewApiKeyObject(ApiKeyObject):
    """A new key, and the only time that it is shown."""

    key = fields.Str(required=True)


class ApiKeyList(Schema):
    """The user's keys, the oldest first."""

    api_keys = fields.List(fields.Nested(ApiKeyObject), required=True)


class ApiKeyDeleted(Schema):
    """The key is refused from now on."""

    deleted = fields.Bool(required=True)


_BODY = ApiKeyBody()


async def create_api_key(request: web.Request) -> web.Response:
    """Make a key and show it, once."""
    services = request.config_dict
    form = await read_form(
        request, max_bytes=_MAX_BODY, timeout=services[SETTINGS].server.body_timeout
    )
    wanted = checked(_BODY, form.values)
    made = await services[API_KEYS].create(
        request[PRINCIPAL].user_id,
        wanted["name"],
        scopes=frozenset(map(Scope, wanted["scopes"])),
        monthly_budget=wanted["monthly_budget_eur"],
        expires_at=wanted["expires_at"],
    )
    response = render_data(request, {**key_object(made.key), "key": made.secret})
    response.headers[hdrs.CACHE_CONTROL] = "no-store"
    return response


async def list_api_keys(request: web.Request) -> dict[str, Any]:
    """The user's keys, and what was spent through each."""
    keys = await request.config_dict[API_KEYS].of_user(request[PRINCIPAL].user_id)
    return {"api_keys": [key_object(key) for key in keys]}


async def delete_api_key(request: web.Request) -> dict[str, Any]:
    """Revoke one of them, at once."""
    try:
        key_id = UUID(request.match_info["key_id"])
    except ValueError:
        raise NotFound("There is no such API key.") from None
    await request.config_dict[API_KEYS].revoke(request[PRINCIPAL].user_id, key_id)
    return {"deleted": True}


def key_object(key: ApiKey) -> dict[str, Any]:
    """A key on the wire."""
    return {
        "id": str(key.id),
        "name": key.name,
        "last_four": key.last_four,
        "scopes": [scope.value for scope in Scope if scope in key.scopes],
        "monthly_budget_eur": None if key.monthly_budget is None else euros(key.monthly_budget),
        "spent_this_month_eur": euros(key.spent),
        "created_at": iso_z(key.created_at),
        "expires_at": None if key.expires_at is None else iso_z(key.expires_at),
        "last_used_at": None if key.last_used_at is None else iso_z(key.last_used_at),
    }


ROUTES: list[Route] = [
    Route(
        "POST",
        "/api-keys",
        create_api_key,
        f"Make a personal API key, shown this once; at most {MOST_KEYS} of them",
        "user",
        max_body=_MAX_BODY,
        request=ApiKeyBody,
        response=NewApiKeyObject,
        errors=(Forbidden, ServiceUnavailable, UnsupportedFormat),
    ),
    Route(
        "GET",
        "/api-keys",
        list_api_keys,
        "The user's API keys",
        "user",
        response=ApiKeyList,
        errors=(Forbidden, ServiceUnavailable),
    ),
    Route(
        "DELETE",
        "/api-keys/{key_id}",
        delete_api_key,
        "Revoke an API key",
        "user",
        response=ApiKeyDeleted,
        errors=(Forbidden, NotFound, ServiceUnavailable),
    ),
]
