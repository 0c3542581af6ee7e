"""What a request costs in all, as OpenRouter's `usage` object says.

https://openrouter.ai/docs/use-cases/usage-accounting
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from chuk.catalog.prices import parse_price


def whole_cost(usage: Mapping[str, object]) -> Decimal | None:
    """US dollars; None where it names none. With a key of one's own `cost` is only a fee."""
    cost, details = parse_price(usage.get("cost")), usage.get("cost_details")
    if cost is not None and usage.get("is_byok") is True and isinstance(details, Mapping):
        cost += parse_price(details.get("upstream_inference_cost")) or 0
    return cost
