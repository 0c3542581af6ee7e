"""OpenAI-compatible servers of the operator's own, as the models file describes them."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from marshmallow import RAISE, Schema, ValidationError, fields, validate, validates_schema

from chuk.catalog.models import Model, Pricing, Provider
from chuk.catalog.prices import parse_price

OPENROUTER, LOCAL, EMBEDDED = "openrouter", "local", "embedded"
"""The upstreams that need no entry in the file."""

_RESERVED = (OPENROUTER, LOCAL, EMBEDDED)
_EFFORTS = ("none", "minimal", "low", "medium", "high")
_PRICES = ("prompt", "completion", "request", "image", "cache_read", "cache_write")


@dataclass(frozen=True, slots=True)
class OwnServer:
    """One server.

    Attributes:
        url: ends before `/chat/completions`.
        api_key_env: the environment variable with its bearer key; empty: it needs none.
        is_zdr: whether it keeps nothing, by the operator's word or because it is on a private
            address; the models of one that is not are never offered.
        models: with this server as their only provider.
        names: by model id, what the server calls the model.
    """

    name: str
    url: str
    api_key_env: str
    is_zdr: bool
    models: tuple[Model, ...]
    names: Mapping[str, str]


class _Price(fields.Field[Decimal]):
    """US dollars for a token, a request or an image; a string keeps every digit."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **_: Any) -> Decimal:
        price = parse_price(value)
        if price is None:
            raise ValidationError("not a price.")
        return price


_Name = fields.Str(validate=validate.Length(min=1, max=200))
ServerName = fields.Str(
    validate=[
        validate.Regexp(r"[a-z0-9][a-z0-9_-]{0,39}\Z", error="lower case letters and digits only."),
        validate.NoneOf(_RESERVED, error="this name is taken."),
    ]
)


class _ModelSchema(Schema):
    class Meta:
        unknown = RAISE

    name = fields.Str(required=True, validate=validate.Length(min=1, max=200))
    id = fields.Str(validate=validate.Regexp(r"[\w.~@+-]+/[\w.~@+:/-]{1,200}\Z"))
    title = _Name
    description = fields.Str(load_default="", validate=validate.Length(max=10_000))
    context_length = fields.Int(required=True, strict=True, validate=validate.Range(min=256))
    max_completion_tokens = fields.Int(strict=True, validate=validate.Range(min=1))
    prompt = _Price()
    completion = _Price()
    request = _Price()
    image = _Price()
    cache_read = _Price()
    cache_write = _Price()
    vision = fields.Bool(load_default=False)
    reasoning = fields.Bool(load_default=False)
    efforts = fields.List(
        fields.Str(validate=validate.OneOf(_EFFORTS)), validate=validate.Length(min=1)
    )
    parameters = fields.List(_Name)

    @validates_schema
    def _both_prices(self, data: Mapping[str, Any], **_: Any) -> None:
        """Half a price is a mistake that would be paid for."""
        if ("prompt" in data) != ("completion" in data):
            raise ValidationError("prompt and completion go together.", "prompt")


class ServerSchema(Schema):
    """`[upstreams.<name>]` in the models file."""

    class Meta:
        unknown = RAISE

    url = fields.Str(
        required=True, validate=validate.URL(schemes={"http", "https"}, require_tld=False)
    )
    title = _Name
    api_key_env = fields.Str(load_default="", validate=validate.Regexp(r"[A-Za-z_][A-Za-z0-9_]*\Z"))
    zdr = fields.Bool()
    models = fields.List(
        fields.Nested(_ModelSchema), required=True, validate=validate.Length(min=1)
    )


def own_servers(loaded: Mapping[str, Mapping[str, Any]]) -> tuple[OwnServer, ...]:
    """The servers, from what `ServerSchema` has read, by name.

    Raises:
        ValidationError: two models have the same id.
    """
    servers: list[OwnServer] = []
    seen: set[str] = set()
    for name, entry in loaded.items():
        names: dict[str, str] = {}
        models: list[Model] = []
        for row in entry["models"]:
            model = _model(name, entry.get("title", name), row)
            if model.id in seen:
                raise ValidationError({"upstreams": {name: [f"two models are called {model.id}."]}})
            seen.add(model.id)
            models.append(model)
            names[model.id] = row["name"]
        url = entry["url"].rstrip("/")
        servers.append(
            OwnServer(
                name=name,
                url=url,
                api_key_env=entry["api_key_env"],
                is_zdr=entry.get("zdr", is_private(url)),
                models=tuple(models),
                names=names,
            )
        )
    return tuple(servers)


def is_private(url: str) -> bool:
    """Whether a server is surely on a machine or in a network of the operator's own."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False


def _model(server: str, title: str, row: Mapping[str, Any]) -> Model:
    parameters, efforts = row.get("parameters"), row.get("efforts")
    provider = Provider(
        slug=server,
        name=title,
        pricing=Pricing(**{name: row[name] for name in _PRICES if name in row}),
        context_length=row["context_length"],
        max_completion_tokens=row.get("max_completion_tokens"),
        parameters=None if parameters is None else frozenset(parameters),
    )
    return Model(
        id=row.get("id") or f"{server}/{row['name']}",
        name=row.get("title") or row["name"],
        description=row["description"],
        context_length=row["context_length"],
        providers=(provider,),
        supports_vision=row["vision"],
        supports_reasoning=row["reasoning"],
        upstream=server,
        efforts=None if efforts is None else frozenset(efforts),
    )
