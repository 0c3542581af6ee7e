"""A model list as bytes, for a file or for other processes.

Prices are strings, so that they come back exactly. It names the source it came from: a list of
another source says nothing about what this one serves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from chuk.catalog.models import Model, Pricing, Provider
from chuk.catalog.prices import parse_price

FORMAT = 1
"""Changes with whatever an older version could not read."""

_OPTIONAL_PRICES = ("image", "cache_read", "cache_write")


class UnreadableList(Exception):
    """The bytes are not what this version writes."""


class OtherSource(UnreadableList):
    """The list is of another source."""


def encode_list(models: Sequence[Model], origin: str) -> bytes:
    """The list of this source."""
    return orjson.dumps(
        {"format": FORMAT, "origin": origin, "models": [_entry(model) for model in models]}
    )


def decode_list(body: bytes, origin: str) -> tuple[Model, ...]:
    """The list that `encode_list` wrote.

    Raises:
        UnreadableList: it holds anything else; as a whole, or of another source.
    """
    try:
        document = orjson.loads(body)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise UnreadableList("another format")
        if document.get("origin") != origin:
            raise OtherSource("another source")
        return tuple(_model(entry) for entry in _list(document["models"]))
    except (ValueError, LookupError, TypeError) as error:
        raise UnreadableList(type(error).__name__) from error


def _entry(model: Model) -> dict[str, Any]:
    return {
        "id": model.id,
        "name": model.name,
        "description": model.description,
        "context_length": model.context_length,
        "supports_vision": model.supports_vision,
        "supports_reasoning": model.supports_reasoning,
        "icon_url": model.icon_url,
        "upstream": model.upstream,
        "efforts": _names_or_none(model.efforts),
        "providers": [
            {
                "slug": provider.slug,
                "name": provider.name,
                "prompt": str(provider.pricing.prompt),
                "completion": str(provider.pricing.completion),
                "request": str(provider.pricing.request),
                **{
                    name: None if price is None else str(price)
                    for name in _OPTIONAL_PRICES
                    for price in [getattr(provider.pricing, name)]
                },
                "context_length": provider.context_length,
                "max_completion_tokens": provider.max_completion_tokens,
                "is_moderated": provider.is_moderated,
                "icon_url": provider.icon_url,
                "parameters": _names_or_none(provider.parameters),
            }
            for provider in model.providers
        ],
    }


def _model(entry: Mapping[str, object]) -> Model:
    providers = tuple(_provider(each) for each in _list(entry["providers"]))
    if not providers:
        raise UnreadableList("a model without a provider")
    return Model(
        id=_text(entry["id"]),
        name=_text(entry["name"]),
        description=_text(entry["description"]),
        context_length=_count(entry["context_length"]),
        providers=providers,
        supports_vision=entry["supports_vision"] is True,
        supports_reasoning=entry["supports_reasoning"] is True,
        icon_url=_text_or_none(entry["icon_url"]),
        upstream=_text(entry.get("upstream", "")),
        efforts=_names(entry.get("efforts")),
    )


def _provider(entry: Mapping[str, object]) -> Provider:
    limit = entry["max_completion_tokens"]
    prices = {name: parse_price(entry[name]) for name in ("prompt", "completion", "request")}
    # Files of before may lack some of these.
    optional = {name: entry.get(name) for name in _OPTIONAL_PRICES}
    read = {name: parse_price(each) for name, each in optional.items() if each is not None}
    if None in prices.values() or None in read.values():
        raise UnreadableList("a price that is none")
    return Provider(
        slug=_text(entry["slug"]),
        name=_text(entry["name"]),
        pricing=Pricing(
            **{name: price for name, price in {**prices, **read}.items() if price is not None}
        ),
        context_length=_count(entry["context_length"]),
        max_completion_tokens=None if limit is None else _count(limit),
        is_moderated=entry["is_moderated"] is True,
        icon_url=_text_or_none(entry["icon_url"]),
        parameters=_names(entry.get("parameters")),
    )


def _names_or_none(names: frozenset[str] | None) -> list[str] | None:
    return None if names is None else sorted(names)


def _names(value: object) -> frozenset[str] | None:
    return None if value is None else frozenset(_text(each) for each in _list(value))


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise UnreadableList("not a list")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise UnreadableList("not a text")
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UnreadableList("not a count")
    return value
