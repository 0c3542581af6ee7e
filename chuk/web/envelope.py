"""The one place where an answer, an error and an event become bytes, in every wire profile.

`envelope`: `{"data": …, "meta": …}` and `{"error": {code, message, details}}`.
`bare`, for the released app: the data itself, and `{"detail": "<message>", "error": {…}}`.
`openai`, on the paths of OpenAI's API alone and always there: the data itself, and
`{"error": {message, type, param, code}}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import orjson
from aiohttp import web

from chuk.clock import iso_z, utc_now
from chuk.errors import ChukError
from chuk.web.keys import REQUEST_ID, SETTINGS
from chuk.web.openai_errors import openai_error, openai_headers, openai_status

_PROFILE = re.compile(r';\s*profile="?(envelope|bare)"?(?=\s*(?:[;,]|$))', re.IGNORECASE)

_OPENAI_PATH = re.compile(
    r"/v1/(?:chat|models|embeddings|audio|images|completions|responses|moderations|files|uploads"
    r"|batches|fine_tuning|assistants|threads|vector_stores|conversations|videos)(?:/|$)"
)


class Profile(StrEnum):
    """How an answer is wrapped."""

    ENVELOPE = "envelope"
    BARE = "bare"
    OPENAI = "openai"

    @property
    def content_type(self) -> str:
        if self is Profile.OPENAI:
            return "application/json"
        return f"application/json; profile={self.value}"


CHOICES = (Profile.ENVELOPE, Profile.BARE)
"""What a request may choose from."""


def profile_of(request: web.BaseRequest, default: Profile) -> Profile:
    """What the request chose by `Accept`, or by `?profile=` where it upgrades to a WebSocket."""
    accept = request.headers.get("Accept", "")
    if "profile" in accept and (found := _PROFILE.search(accept)):
        return Profile(found[1].lower())
    if "Upgrade" in request.headers and request.query.get("profile") in ("envelope", "bare"):
        return Profile(request.query["profile"])
    return default


def is_openai_path(path: str) -> bool:
    """Whether OpenAI's clients ask here, for what there is or for what they know of besides."""
    return path.startswith("/v1/") and _OPENAI_PATH.match(path) is not None


def request_profile(request: web.Request) -> Profile:
    """The profile of an answer to this request."""
    if is_openai_path(request.path):
        return Profile.OPENAI
    return profile_of(request, Profile(request.config_dict[SETTINGS].server.wire_profile))


def render_data(
    request: web.Request,
    data: Any,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Wrap what a handler returned. Ready JSON comes as `orjson.Fragment`."""
    profile = request_profile(request)
    document = data
    if profile is Profile.ENVELOPE:
        meta = {"timestamp": iso_z(utc_now()), "request_id": request[REQUEST_ID]}
        document = {"data": data, "meta": meta}
    return web.Response(
        body=orjson.dumps(document),
        status=status,
        headers={**(headers or {}), "Content-Type": profile.content_type},
    )


def render_error(profile: Profile, error: ChukError) -> web.Response:
    """The HTTP answer for an error."""
    status, headers = error.status, error.headers
    if profile is Profile.OPENAI:
        document: dict[str, Any] = {"error": openai_error(error)}
        status, headers = openai_status(type(error)), openai_headers(error)
    else:
        document = {"error": error_object(error)}
        if profile is Profile.BARE:
            document = {"detail": error.message, **document}
    return web.Response(
        body=orjson.dumps(document),
        status=status,
        headers={**headers, "Content-Type": profile.content_type},
    )


def error_event(profile: Profile, error: ChukError) -> bytes:
    """The JSON of an error inside a stream. The released app casts `error` to a string."""
    if profile is Profile.BARE:
        return orjson.dumps({"error": error.message, "code": error.code, "details": error.details})
    if profile is Profile.OPENAI:
        return orjson.dumps({"error": openai_error(error)})
    return orjson.dumps({"error": error_object(error)})


def error_object(error: ChukError) -> dict[str, Any]:
    """`code`, `message` and `details`, as every error shows them."""
    return {"code": error.code, "message": error.message, "details": error.details}
