"""A leadership that is what a test says it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Elected:
    """See `chuk.leadership.Leadership`."""

    leads: bool = False
