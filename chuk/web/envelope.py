"""The one place where an answer, an error and an event become bytes, in both wire profiles.

`envelope`: `{"data": …, "meta": …}` and `{"error": {code, message, details}}`.
`bare`, for the released app: the data itself, and `{"detail": "<message>", "error": {…}}`.
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

_PROFILE = re.compile(r';\s*profile="?(envelope|bare)"?(?=\s*(?:[;,]|$))', re.IGNORECASE)


class Profile(StrEnum):
    """How an answer is wrapped."""

    ENVELOPE = "envelope"
    BARE = "bare"

    @property
    def content_type(self) -> str:
        return f"application/json; profile={self.value}"


def profile_of(request: web.BaseRequest, default: Profile) -> Profile:
    """What the request chose by `Accept`, or by `?profile=` where it upgrades to a WebSocket."""
    accept = request.headers.get("Accept", "")
    if "profile" in accept and (found := _PROFILE.search(accept)):
        return Profile(found[1].lower())
    if "Upgrade" in request.headers and request.query.get("profile") in ("envelope", "bare"):
        return Profile(request.query["profile"])
    return default


def request_profile(request: web.Request) -> Profile:
    """The profile of an answer to this request."""
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
    body = error_object(error)
    document: dict[str, Any] = {"error": body}
    if profile is Profile.BARE:
        document = {"detail": error.message, "error": body}
    return web.Response(
        body=orjson.dumps(document),
        status=error.status,
        headers={**error.headers, "Content-Type": profile.content_type},
    )


def error_event(profile: Profile, error: ChukError) -> bytes:
    """The JSON of an error inside a stream. The released app casts `error` to a string."""
    if profile is Profile.BARE:
        return orjson.dumps({"error": error.message, "code": error.code, "details": error.details})
    return orjson.dumps({"error": error_object(error)})


def error_object(error: ChukError) -> dict[str, Any]:
    """`code`, `message` and `details`, as every error shows them."""
    return {"code": error.code, "message": error.message, "details": error.details}
