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
    Forbidden,
    IdempotencyConflict,
    InternalError,
    InvalidRequest,
    InvalidToken,
    RateLimited,
    ServiceUnavailable,
    TokenExpired,
    Unauthorized,
)
from chuk.web.envelope import Profile, is_openai_path
from chuk.web.openai_errors import openai_status
from chuk.web.routes import Auth, Route, RouteTable

_NOT_A_WORD = re.compile("[^a-z0-9]+")
_PARAMETER = re.compile(r"{(\w+)(?::[^}]*)?}")

_KEY_PARAMETER = {
    "in": "header",
    "name": "Idempotency-Key",
    "description": "The same key within 24 hours gives the same result, and is charged once. "
    "With another request: 409.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


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


class OpenAIErrorBody(Schema):
    """What OpenAI's clients read of an error; our own code and details under `chuk`."""

    message = fields.Str(required=True)
    type = fields.Str(required=True)
    param = fields.Str(required=True, allow_none=True)
    code = fields.Str(required=True, allow_none=True)
    chuk = fields.Dict(keys=fields.Str())


class OpenAIError(Schema):
    """An error on the paths of OpenAI's API."""

    error = fields.Nested(OpenAIErrorBody, required=True)


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
        **{"x-errors": error_meanings()},
    )
    spec.components.security_scheme(
        "bearer",
        {
            "type": "http",
            "scheme": "bearer",
            "description": "The access token of a user who is signed in; or a personal API key,"
            " where `x-api-key-scope` names what it must be allowed to do.",
        },
    )
    for schema in (ErrorEnvelope, BareError, OpenAIError, EnvelopeMeta):
        spec.components.schema(schema.__name__, schema=schema)
    paths: dict[str, dict[str, Any]] = {}
    for path, route in routes.all:
        shown = _PARAMETER.sub(r"{\1}", path)
        paths.setdefault(shown, {})[route.method.lower()] = _operation(path, route)
    for path, operations in paths.items():
        spec.path(path=path, operations=operations)
    document: dict[str, Any] = spec.to_dict()
    return document


def error_meanings() -> dict[str, dict[str, Any]]:
    """Every code that there is: its status, what it means, and what a person is told."""
    meanings: dict[str, dict[str, Any]] = {}
    family = ChukError.__subclasses__()
    for error in family:
        if error.__module__ != ChukError.__module__:
            continue
        # A code that several share means what the eldest of them says.
        meaning = {"status": error.status, "meaning": _opening(error), "message": error.sentence}
        meanings.setdefault(error.code, meaning)
        family += error.__subclasses__()
    return dict(sorted(meanings.items(), key=lambda item: (item[1]["status"], item[0])))


def _opening(error: type[ChukError]) -> str:
    """The first paragraph that is written of it, in one line."""
    return " ".join((error.__doc__ or "").split("\n\n")[0].split())


def _operation(path: str, route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(path, route),
        "summary": route.summary,
        "tags": [route.tag],
        "responses": {**_success(path, route), **_failures(path, route)},
    }
    if route.auth is not Auth.NONE:
        if route.scope is not None:
            operation["x-api-key-scope"] = route.scope.value
        operation["security"] = [{"bearer": []}] + ([{}] if route.auth is Auth.SOCKET else [])
    parameters: list[dict[str, Any]] = [
        {"in": "path", "name": name, "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(path)
    ]
    if route.query is not None:
        parameters.append({"in": "query", "schema": route.query})
    if route.takes_key:
        parameters.append(_KEY_PARAMETER)
    if parameters:
        operation["parameters"] = parameters
    if route.request is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {media: {"schema": route.request} for media in route.request_types},
        }
    return operation


def _operation_id(path: str, route: Route) -> str:
    words = _NOT_A_WORD.sub("_", _PARAMETER.sub(r"\1", path).lower())
    return (route.method.lower() + words).rstrip("_")


def _success(path: str, route: Route) -> dict[str, Any]:
    if route.media_type == "websocket":
        return {"101": {"description": "The socket is open."}}
    if route.media_type is not None:
        media = route.media_type if isinstance(route.media_type, tuple) else (route.media_type,)
        content = {
            name: {"schema": {"type": "object" if "json" in name else "string"}} for name in media
        }
        if route.response is not None:
            # It answers so, too, where the request chooses.
            content.update(_json(route.response))
        return {"200": {"description": route.summary, "content": content}}
    if route.response is None:
        return {}
    if is_openai_path(path):
        return {"200": {"description": route.summary, "content": _json(route.response)}}
    content = _both_profiles(route)
    responses: dict[str, Any] = {"200": {"description": route.summary, "content": content}}
    if route.path == "/health":
        responses["503"] = {"description": "Draining, or a part is down.", "content": content}
    if route.many:
        responses["304"] = {"description": "The list has not changed."}
    return responses


def _json(schema: type[Schema]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


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


def _failures(path: str, route: Route) -> dict[str, Any]:
    """Every error this route can answer, its codes listed by status."""
    for_openai = is_openai_path(path)
    errors: list[type[ChukError]] = [InternalError, InvalidRequest, FileTooLarge, *route.errors]
    if route.auth is Auth.BEARER:
        # Forbidden: an account under deletion, or a key that may not do this.
        errors += [Unauthorized, TokenExpired, InvalidToken, Forbidden, ServiceUnavailable]
    if route.bucket is not None:
        errors.append(RateLimited)
    if route.takes_key:
        errors.append(IdempotencyConflict)
    by_status: dict[str, list[str]] = {}
    for error in errors:
        status = openai_status(error) if for_openai else error.status
        codes = by_status.setdefault(str(status), [])
        if error.code not in codes:
            codes.append(error.code)
    content = _json(OpenAIError) if for_openai else _contents(ErrorEnvelope, BareError)
    return {
        status: {"description": ", ".join(codes), "content": content}
        for status, codes in sorted(by_status.items())
    }
