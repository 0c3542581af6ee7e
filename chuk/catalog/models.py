"""What a model and its providers are.

Prices are US dollars as exact decimals, per token unless said otherwise; counts are tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from chuk.errors import ModelNotFound


@dataclass(frozen=True, slots=True)
class Pricing:
    """What a provider charges, in US dollars.

    Attributes:
        prompt: for each prompt token.
        completion: for each completion token.
        request: for each request.
        image: for each image in the prompt; None where it is not charged apart.
        cache_read, cache_write: for each prompt token that was read from the provider's cache,
            or written to it; None: as any other.
    """

    prompt: Decimal = Decimal(0)
    completion: Decimal = Decimal(0)
    request: Decimal = Decimal(0)
    image: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Provider:
    """One endpoint that serves a model and keeps nothing of what it sees.

    Attributes:
        slug: upstream's exact tag (`deepinfra/fp8`), unique within its model.
        parameters: what of a request it understands (`tools`, `response_format`, `reasoning`);
            None: it does not say.
    """

    slug: str
    name: str
    pricing: Pricing
    context_length: int
    max_completion_tokens: int | None = None
    is_moderated: bool = False
    icon_url: str | None = None
    parameters: frozenset[str] | None = None

    def supports(self, parameter: str) -> bool:
        """Whether it may be asked for this: it says so, or does not say what it understands."""
        return self.parameters is None or parameter in self.parameters


@dataclass(frozen=True, slots=True)
class Model:
    """A model with at least one provider, the cheapest first.

    Attributes:
        upstream: which of the configured upstreams serves it; empty where there is only one.
        efforts: the reasoning efforts it takes; None: any.
    """

    id: str
    name: str
    description: str
    context_length: int
    providers: tuple[Provider, ...]
    supports_vision: bool = False
    supports_reasoning: bool = False
    icon_url: str | None = None
    upstream: str = ""
    efforts: frozenset[str] | None = None

    def provider(self, slug: str | None) -> Provider:
        """The provider with this slug, or the cheapest one when no slug is given.

        Raises:
            ModelNotFound: no allowed provider has this slug.
        """
        if slug is None:
            return self.providers[0]
        for provider in self.providers:
            if provider.slug == slug:
                return provider
        raise ModelNotFound(self.id, slug)
