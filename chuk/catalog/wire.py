"""The model list as clients read it (contract §7)."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import orjson

from chuk.catalog.models import Model, Provider


def encode_models(models: Iterable[Model]) -> bytes:
    """The list as a JSON array, ready to send."""
    return orjson.dumps([model_object(model) for model in models])


def model_object(model: Model) -> dict[str, Any]:
    """One model, JSON-ready."""
    return {
        "id": model.id,
        "name": model.name,
        "description": model.description,
        "icon_url": model.icon_url,
        "supports_vision": model.supports_vision,
        "supports_reasoning": model.supports_reasoning,
        "context_length": model.context_length,
        # Where it lives: released clients pass over a field that they do not know.
        "upstream": model.upstream,
        "providers": [_provider_object(provider) for provider in model.providers],
    }


def _provider_object(provider: Provider) -> dict[str, Any]:
    pricing = provider.pricing
    return {
        "slug": provider.slug,
        "name": provider.name,
        "icon_url": provider.icon_url,
        "pricing": {
            # Always with a fraction or an exponent: a client that reads a price as a floating
            # point number must not meet the integer 0 of a free model.
            "prompt": float(pricing.prompt),
            "completion": float(pricing.completion),
            "request": _number(pricing.request),
            "image": None if pricing.image is None else _number(pricing.image),
        },
        "context_length": provider.context_length,
        "max_completion_tokens": provider.max_completion_tokens,
        "is_moderated": provider.is_moderated,
    }


def _number(price: Decimal) -> int | float:
    return int(price) if price == price.to_integral_value() else float(price)
