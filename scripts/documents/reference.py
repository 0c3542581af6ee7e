"""Every route, from the table that serves it: who may call, what it takes, what it answers."""

from __future__ import annotations

import functools
import re
from itertools import groupby
from pathlib import Path
from typing import Any

from aiohttp import web

from chuk.app import hang_areas
from chuk.settings import Settings, describe, load
from chuk.web.envelope import is_openai_path
from chuk.web.openapi import openapi_document
from chuk.web.routes import Auth, Route, RouteTable
from scripts.documents.fields import Fields
from scripts.documents.tables import table

_PARAMETER = re.compile(r"{(\w+)(?::[^}]*)?}")
_NOWHERE = Path("no such folder")

_TITLES = {
    "public": "Anybody",
    "models": "Models",
    "pages": "Pages",
    "chat": "Chat",
    "media": "Files, speech and images",
    "user": "Accounts",
    "billing": "Payments",
    "openai": "OpenAI's API",
}

# What a route reads that no schema is made for.
_BODIES = {
    "/webhooks/stripe": "an event, as Stripe sends and signs it (`Stripe-Signature`)",
}


@functools.cache
def _served() -> tuple[Settings, RouteTable, dict[str, Any]]:
    """The routes with nothing set, and the OpenAPI document of them."""
    settings = load({}, directory=_NOWHERE)
    routes = hang_areas(web.Application(), settings)
    return settings, routes, openapi_document(routes)


def _by_area() -> list[tuple[str, list[tuple[str, Route]]]]:
    order = list(_TITLES)
    routes = sorted(_served()[1].all, key=lambda entry: order.index(entry[1].tag))
    return [
        (_TITLES[tag], [(_PARAMETER.sub(r"{\1}", path), route) for path, route in entries])
        for tag, entries in groupby(routes, key=lambda entry: entry[1].tag)
    ]


def routes_overview() -> str:
    """One line for each route."""
    rows = [
        (
            f"[`{route.method} {path}`](#{_anchor(f'{route.method} {path}')})",
            _who(route, short=True),
            route.summary,
        )
        for _, routes in _by_area()
        for path, route in routes
    ]
    return table(("Request", "Sign-in", "What"), rows)


def routes_reference() -> str:
    """All of each route, by area."""
    return "\n\n".join(
        f"### {title}\n\n" + "\n\n".join(_route(path, route) for path, route in routes)
        for title, routes in _by_area()
    )


def _anchor(title: str) -> str:
    """Where GitHub's renderer puts a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _route(path: str, route: Route) -> str:
    operation = _served()[2]["paths"][path][route.method.lower()]
    facts = [
        ("Who may call", _who(route)),
        ("Rate limit", _limit(route)),
        ("Body", _body(path, route)),
        ("`Idempotency-Key`", "makes it safe to send again" if route.takes_key else ""),
        ("Answer", _answer(path, route)),
        ("Under deletion", "is served to an account that is being erased" * route.allows_locked),
    ]
    parts = [f"#### `{route.method} {path}`", f"{route.summary}."]
    parts.append(table(("", ""), [(name, text) for name, text in facts if text]))
    parts += _tables(operation)
    parts.append(f"Errors: {_errors(operation)}.")
    return "\n\n".join(parts)


def _who(route: Route, *, short: bool = False) -> str:
    if route.auth is Auth.NONE:
        return "–" if short else Auth.NONE.value
    if short:
        return "Bearer, or `token` in a message" if route.auth is Auth.SOCKET else "Bearer"
    key = (
        "no API key may"
        if route.scope is None
        else f"or an API key with the scope `{route.scope.value}`"
    )
    if route.auth is Auth.SOCKET:
        return f"{Auth.SOCKET.value}, {key}"
    return f"a signed-in user; {key}" if route.scope is None else f"a signed-in user, {key}"


def _limit(route: Route) -> str:
    if route.bucket is None:
        return "none"
    settings, bucket = _served()[0], route.bucket
    if route.auth is Auth.NONE:
        bucket = "address"
    variable = next(
        each.env for each in describe() if (each.section, each.name) == ("limits", bucket)
    )
    whom = "address" if route.auth is Auth.NONE else "user"
    return f"{getattr(settings.limits, bucket)} a minute for each {whom} (`{variable}`)"


def _body(path: str, route: Route) -> str:
    most = _size(route.max_file or route.max_body)
    if path in _BODIES:
        return f"{_BODIES[path]}; at most {most}"
    if route.request is None:
        return "" if route.method == "GET" else "none is needed"
    kinds = " or ".join(f"`{kind}`" for kind in route.request_types)
    return f"{kinds}; {'the file' if route.max_file else 'all of it'} at most {most}"


def _size(number: int) -> str:
    """Bytes, in the unit that reads best."""
    if number >= 1_000_000:
        return f"{number / 1_000_000:.3g} MB"
    return f"{number:,} bytes"


def _answer(path: str, route: Route) -> str:
    if route.media_type == "websocket":
        return "a WebSocket"
    media = route.media_type or ()
    kinds = [media] if isinstance(media, str) else list(media)
    if kinds:
        return " or ".join(f"`{each}`" for each in kinds)
    if is_openai_path(path):
        return "JSON in OpenAI's shape, whatever profile is asked for"
    return "JSON in the profile `envelope` or `bare`"


def _tables(operation: dict[str, Any]) -> list[str]:
    fields = Fields(_served()[2]["components"]["schemas"])
    parts: list[str] = []
    for place, title in (("path", "In the path"), ("query", "In the query")):
        asked = [each for each in operation.get("parameters", ()) if each["in"] == place]
        if asked:
            properties = {
                each["name"]: {
                    **each["schema"],
                    **({"description": each["description"]} if "description" in each else {}),
                }
                for each in asked
            }
            needed = [each["name"] for each in asked if each.get("required")]
            schema = {"properties": properties, "required": needed}
            parts.append(f"{title}:\n\n{fields.asked(schema)}")
    if "requestBody" in operation:
        schema = next(iter(operation["requestBody"]["content"].values()))["schema"]
        parts.append(f"In the body:\n\n{fields.asked(schema)}")
    data = _bare(operation["responses"].get("200", {}).get("content", {}))
    if data and "properties" in fields.resolved(data.get("items", data)):
        parts.append(f"The answer's data:\n\n{fields.answered(data)}")
    return parts


def _bare(content: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of the data itself, without an envelope."""
    found = content.get("application/json; profile=bare") or content.get("application/json")
    return found["schema"] if found else None


def _errors(operation: dict[str, Any]) -> str:
    return "; ".join(
        f"{status} " + ", ".join(f"`{code}`" for code in answer["description"].split(", "))
        for status, answer in operation["responses"].items()
        if status >= "400" and answer["description"].isupper()
    )
