"""Time as the database keeps it: whole microseconds since 1970, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

DAY = 86_400_000_000

_START = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """Exact, for any aware moment."""
    return (moment - _START) // _MICROSECOND


def microseconds_or_none(moment: datetime | None) -> int | None:
    """The same for a column that may be empty."""
    return None if moment is None else microseconds(moment)


def moment(microseconds: int) -> datetime:
    """The way back."""
    return _START + timedelta(microseconds=microseconds)


def begin_of(period: str, now: int) -> int:
    """When the UTC `day` or `month` of a moment began."""
    begin = now - now % DAY
    return begin - (moment(now).day - 1) * DAY if period == "month" else begin


def moment_or_none(microseconds: int | None) -> datetime | None:
    """The same for a column that may be empty."""
    return None if microseconds is None else moment(microseconds)
