"""The OpenAPI 3.1 document, made from the table of routes that serves the requests."""

from __future__ import annotations

import re
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema, fields

from chuk import __version__
from chuk.errors import (
    ChukError,
    FileTooLarge,
    InternalError,
    InvalidRequest,
    InvalidToken,
    RateLimited,
    ServiceUnavailable,
    TokenExpired,
    Unauthorized,
)
from chuk.web.envelope import Profile
from chuk.web.routes import Auth, Route, RouteTable

_NOT_A_WORD = re.compile("[^a-z0-9]+")
_PARAMETER = re.compile(r"{(\w+)}")


class ErrorBody(Schema):
    """What every error says."""

    code = fields.Str(required=True)
    message = fields.Str(required=True)
    details = fields.Dict(keys=fields.Str(), required=True)


class ErrorEnvelope(Schema):
    """An error in the profile `envelope`."""

    error = fields.Nested(ErrorBody, required=True)


class BareError(Schema):
    """An error in the profile `bare`."""

    detail = fields.Str(required=True)
    error = fields.Nested(ErrorBody, required=True)


class EnvelopeMeta(Schema):
    """When, and which request."""

    timestamp = fields.DateTime(required=True)
    request_id = fields.Str(required=True)


def openapi_document(routes: RouteTable) -> dict[str, Any]:
    """Describe every route. JSON answers appear in both wire profiles."""
    spec = APISpec(
        title="Chuk Chat",
        version=__version__,
        openapi_version="3.1.0",
        info={"description": "The backend of Chuk Chat, a privacy-first AI chat app."},
        plugins=[MarshmallowPlugin()],
    )
    spec.components.security_scheme(
        "bearer", {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    )
    for schema in (ErrorEnvelope, BareError, EnvelopeMeta):
        spec.components.schema(schema.__name__, schema=schema)
    paths: dict[str, dict[str, Any]] = {}
    for path, route in routes.all:
        paths.setdefault(path, {})[route.method.lower()] = _operation(path, route)
    for path, operations in paths.items():
        spec.path(path=path, operations=operations)
    document: dict[str, Any] = spec.to_dict()
    return document


def _operation(path: str, route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": (route.method.lower() + _NOT_A_WORD.sub("_", path.lower())).rstrip("_"),
        "summary": route.summary,
        "tags": [route.tag],
        "responses": {**_success(route), **_failures(route)},
    }
    if route.auth is not Auth.NONE:
        operation["security"] = [{"bearer": []}] + ([{}] if route.auth is Auth.SOCKET else [])
    parameters = [
        {"in": "path", "name": name, "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(path)
    ]
    if route.query is not None:
        parameters.append({"in": "query", "schema": route.query})
    if parameters:
        operation["parameters"] = parameters
    if route.request is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {media: {"schema": route.request} for media in route.request_types},
        }
    return operation


def _success(route: Route) -> dict[str, Any]:
    if route.media_type == "websocket":
        return {"101": {"description": "The socket is open."}}
    if route.media_type is not None:
        media = route.media_type if isinstance(route.media_type, tuple) else (route.media_type,)
        content = {
            name: {"schema": {"type": "object" if "json" in name else "string"}} for name in media
        }
        return {"200": {"description": route.summary, "content": content}}
    if route.response is None:
        return {}
    content = _both_profiles(route)
    responses: dict[str, Any] = {"200": {"description": route.summary, "content": content}}
    if route.path == "/health":
        responses["503"] = {"description": "Draining, or a part is down.", "content": content}
    if route.many:
        responses["304"] = {"description": "The list has not changed."}
    return responses


def _both_profiles(route: Route) -> dict[str, Any]:
    data: Any = {"type": "array", "items": route.response} if route.many else route.response
    wrapped = {
        "type": "object",
        "required": ["data", "meta"],
        "properties": {"data": data, "meta": EnvelopeMeta},
    }
    return _contents(wrapped, data)


def _contents(envelope: Any, bare: Any) -> dict[str, Any]:
    """Both shapes, by the exact content type of each.

    Under the plain type either of them: many tools look no further than the semicolon.
    """
    return {
        "application/json": {"schema": {"anyOf": [envelope, bare]}},
        Profile.ENVELOPE.content_type: {"schema": envelope},
        Profile.BARE.content_type: {"schema": bare},
    }


def _failures(route: Route) -> dict[str, Any]:
    """Every error this route can answer, its codes listed by status."""
    errors: list[type[ChukError]] = [InternalError, InvalidRequest, FileTooLarge, *route.errors]
    if route.auth is Auth.BEARER:
        errors += [Unauthorized, TokenExpired, InvalidToken, ServiceUnavailable]
    if route.bucket is not None:
        errors.append(RateLimited)
    by_status: dict[str, list[str]] = {}
    for error in errors:
        codes = by_status.setdefault(str(error.status), [])
        if error.code not in codes:
            codes.append(error.code)
    content = _contents(ErrorEnvelope, BareError)
    return {
        status: {"description": ", ".join(codes), "content": content}
        for status, codes in sorted(by_status.items())
    }
