"""What a request may cost, before it is sent. Pure: prices and counts in, micro-euros out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from chuk.catalog.models import Pricing
from chuk.credits.money import MicroEuro
from chuk.credits.pricing import PriceList, tokens_usd

LEAST_ANSWER = 256
"""Tokens of answer that must be affordable, or the request is not sent at all."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The bounds of one request's cost.

    Attributes:
        pricings: of every provider that may serve; the dearest one counts.
        prompt_tokens: a bound that the prompt will hardly exceed.
        max_tokens: the longest answer asked for.
        images: pictures in the prompt.
    """

    prices: PriceList
    pricings: tuple[Pricing, ...]
    prompt_tokens: int
    max_tokens: int
    images: int = 0

    @property
    def at_most(self) -> MicroEuro:
        """The prompt and the longest answer."""
        return self.cost(self.max_tokens)

    @property
    def at_least(self) -> MicroEuro:
        """The prompt and the shortest answer that is worth beginning."""
        return self.cost(min(LEAST_ANSWER, self.max_tokens))

    @property
    def is_free_of_charge(self) -> bool:
        """Whether no provider that may serve charges anything."""
        return not any(
            each.prompt or each.completion or each.request or each.image for each in self.pricings
        )

    def cost(self, completion_tokens: int) -> MicroEuro:
        """With an answer of this length, by the dearest provider."""
        return self.prices.in_euros(max(self._dollars(completion_tokens)))

    def affordable_tokens(self, amount: MicroEuro) -> int:
        """How long the answer may become within an amount of `at_least` or more."""
        if self.at_most <= amount:
            return self.max_tokens
        dollars = self.prices.in_dollars(amount)
        tokens = self.max_tokens
        for pricing, prompt in zip(self.pricings, self._dollars(0), strict=True):
            if pricing.completion:
                tokens = min(tokens, int((dollars - prompt) / pricing.completion))
        if tokens > 1 and self.cost(tokens) > amount:
            # The divisions above were rounded.
            tokens -= 1
        return max(tokens, 1)

    def _dollars(self, completion_tokens: int) -> Iterator[Decimal]:
        for pricing in self.pricings:
            yield tokens_usd(
                pricing,
                prompt_tokens=self.prompt_tokens,
                completion_tokens=completion_tokens,
                images=self.images,
            )
