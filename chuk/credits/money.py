"""The one type for money inside the server."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import NewType

MicroEuro = NewType("MicroEuro", int)
"""Millionths of a euro. Integers add up exactly; a float appears only when one is printed."""


def micro_euro_ceiling(euros: Decimal) -> MicroEuro:
    """Round an exact amount of euros up to the next micro-euro."""
    return MicroEuro(int((euros * 1_000_000).to_integral_value(rounding=ROUND_CEILING)))


def euros(amount: MicroEuro) -> float:
    """The amount as a number of euros, for printing and for the wire."""
    return amount / 1_000_000
