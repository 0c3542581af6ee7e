"""Time, in UTC, as something that is handed in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the present moment, aware and in UTC."""


def utc_now() -> datetime:
    """The machine's own clock."""
    return datetime.now(UTC)


def iso_z(moment: datetime) -> str:
    """ISO 8601 to the second, as the contract writes it: `2026-01-15T10:30:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
