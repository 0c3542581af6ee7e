"""Prices as upstream writes them, and which provider is the cheapest."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal

from chuk.catalog.models import Pricing, Provider

# Decimal() alone would also take underscores, spaces, "Infinity" and other scripts' digits.
_NUMBER = re.compile(r"[+-]?(?:\d{1,30}(?:\.\d{0,60})?|\.\d{1,60})(?:[eE][+-]?\d{1,3})?", re.ASCII)
_HIGHEST = Decimal(1_000_000)
_SMALLEST_EXPONENT = -100

# A chat sends its history again with each turn, so prompts outweigh answers.
_TYPICAL_PROMPT_TOKENS = 3_000
_TYPICAL_COMPLETION_TOKENS = 1_000


def parse_price(value: object) -> Decimal | None:
    """An exact price in US dollars, from a string or a JSON number.

    None for what is no usable price: negative (upstream's -1 means "a router decides"), NaN,
    infinite, absurdly large or small, or not a number at all.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = repr(value)
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        return None
    price = Decimal(value)
    exponent = price.as_tuple().exponent
    if price < 0 or price > _HIGHEST or not isinstance(exponent, int):
        return None
    if exponent < _SMALLEST_EXPONENT:
        return None
    return price.copy_abs()  # "-0" is 0; abs() would round to 28 digits


def typical_cost(pricing: Pricing) -> Decimal:
    """US dollars for a typical turn: 3,000 prompt tokens, 1,000 completion tokens, one request."""
    return (
        pricing.prompt * _TYPICAL_PROMPT_TOKENS
        + pricing.completion * _TYPICAL_COMPLETION_TOKENS
        + pricing.request
    )


def cheapest_first(providers: Iterable[Provider]) -> tuple[Provider, ...]:
    """Providers by what a typical turn costs, then by slug; each slug once.

    Where upstream lists a slug twice, the dearer entry stays: it cannot be told which of the two
    will serve, and what is promised or held for a turn must not fall short.
    """
    by_slug: dict[str, Provider] = {}
    for provider in providers:
        other = by_slug.get(provider.slug)
        if other is None or typical_cost(provider.pricing) > typical_cost(other.pricing):
            by_slug[provider.slug] = provider
    return tuple(sorted(by_slug.values(), key=lambda each: (typical_cost(each.pricing), each.slug)))
