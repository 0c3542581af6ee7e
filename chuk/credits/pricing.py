"""What a turn costs. Pure: prices and counts in, micro-euros out.

Cost in EUR = upstream's USD x `usd_to_eur` x (1 + `margin`), rounded up to the micro-euro.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from chuk.catalog.models import Pricing
from chuk.credits.money import MicroEuro, micro_euro_ceiling


@dataclass(frozen=True, slots=True)
class PriceList:
    """How upstream's dollars become the user's euros."""

    usd_to_eur: Decimal
    margin: Decimal

    def in_euros(self, usd: Decimal) -> MicroEuro:
        """The user's price for what upstream charges in US dollars."""
        return micro_euro_ceiling(usd * self.usd_to_eur * (1 + self.margin))

    def in_dollars(self, amount: MicroEuro) -> Decimal:
        """How much of upstream's dollars an amount buys; 28 digits, so not always exact."""
        return Decimal(amount) / 1_000_000 / (self.usd_to_eur * (1 + self.margin))


def tokens_usd(
    pricing: Pricing,
    *,
    prompt_tokens: int,
    completion_tokens: int,
    images: int = 0,
    cached_tokens: int = 0,
    cache_write_tokens: int = 0,
) -> Decimal:
    """What a provider charges for one request of this size, in US dollars.

    The tokens that its cache knew, and those that it took into its cache, are parts of the
    prompt. A cache never makes a request dearer than it is without one: nobody asked for it.
    """
    return (
        _prompt_usd(pricing, prompt_tokens, cached_tokens, cache_write_tokens)
        + pricing.completion * completion_tokens
        + pricing.request
        + (pricing.image or 0) * images
    )


def _prompt_usd(pricing: Pricing, tokens: int, cached: int, written: int) -> Decimal:
    usual = pricing.prompt * tokens
    if not cached and not written:
        return usual
    cached = min(cached, tokens)
    written = min(written, tokens - cached)
    read_price = pricing.prompt if pricing.cache_read is None else pricing.cache_read
    write_price = pricing.prompt if pricing.cache_write is None else pricing.cache_write
    rest = pricing.prompt * (tokens - cached - written)
    return min(usual, rest + read_price * cached + write_price * written)
