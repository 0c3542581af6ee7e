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
    pricing: Pricing, *, prompt_tokens: int, completion_tokens: int, images: int = 0
) -> Decimal:
    """What a provider charges for one request of this size, in US dollars."""
    return (
        pricing.prompt * prompt_tokens
        + pricing.completion * completion_tokens
        + pricing.request
        + (pricing.image or 0) * images
    )
