"""The shapes of receipts, of sums of usage, and of a user's own limits."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from chuk.credits.ledger import Basis, Operation, Outcome, SpendingCap
from chuk.credits.money import MicroEuro, euros

_MOST_EUROS = 1_000_000
_YEARS = range(2000, 2200)
_MOST_RECEIPTS = 100


class Euros(fields.Float):
    """An amount of euros on the wire, micro-euros inside; never a boolean or a text."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValidationError("Not a valid number.")
        if not math.isfinite(value) or not 0 <= value <= _MOST_EUROS:
            raise ValidationError(f"Must be between 0 and {_MOST_EUROS}.")
        # Through its shortest text: 0.1 means a tenth, not the nearest binary fraction. Rounded
        # down, because a limit is not to be exceeded.
        micro = (Decimal(repr(value)) * 1_000_000).to_integral_value(rounding=ROUND_FLOOR)
        return MicroEuro(int(micro))


class Moment(fields.Field[datetime]):
    """A day or a moment, ISO 8601; without a zone it is UTC.

    `ends`: a day means its end, not its beginning.
    """

    def __init__(self, *, ends: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ends = ends

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> datetime:
        try:
            moment = self._moment(str(value))
        except (ValueError, OverflowError):
            raise ValidationError(
                "Not a day or a moment (2026-01-15, 2026-01-15T10:30:00Z)."
            ) from None
        if moment.year not in _YEARS:
            raise ValidationError("Too far away.")
        return moment

    def _moment(self, text: str) -> datetime:
        if "T" in text or " " in text:
            moment = datetime.fromisoformat(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        day = datetime.combine(date.fromisoformat(text), time(), UTC)
        return day + timedelta(days=1) if self.ends else day


class UsageQuery(Schema):
    """Which usage: a page of receipts, or sums."""

    class Meta:
        unknown = EXCLUDE

    by = fields.Str(
        load_default=None,
        validate=validate.OneOf(["day", "model"]),
        metadata={"description": "Sums by UTC day or by model, instead of receipts."},
    )
    limit = fields.Int(load_default=50, validate=validate.Range(min=1, max=_MOST_RECEIPTS))
    cursor = fields.Str(
        load_default=None,
        metadata={"description": "`next_cursor` of the page before."},
    )
    since = Moment(
        data_key="from",
        load_default=None,
        metadata={"type": "string", "description": "Day or moment; sums: else 30 days back."},
    )
    until = Moment(
        ends=True,
        data_key="to",
        load_default=None,
        metadata={"type": "string", "description": "A moment, not included; a day, included."},
    )


class UsageReceipt(Schema):
    """What one piece of work took. Amounts are euros, but for `cost_usd`."""

    id = fields.Str(required=True, metadata={"description": "For a turn its stream id."})
    created_at = fields.DateTime(required=True)
    operation = fields.Str(
        required=True, validate=validate.OneOf([each.value for each in Operation])
    )
    model = fields.Str(required=True)
    provider = fields.Str(required=True)
    prompt_tokens = fields.Int(required=True)
    completion_tokens = fields.Int(required=True)
    total_tokens = fields.Int(required=True)
    held_eur = fields.Float(required=True)
    charged_eur = fields.Float(required=True)
    cost_usd = fields.Float(required=True, metadata={"description": "What upstream charges."})
    basis = fields.Str(
        required=True,
        validate=validate.OneOf([each.value for each in Basis]),
        metadata={
            "description": "Why it costs this: upstream's own cost, upstream's tokens x price, "
            "our count x price (estimate), nothing taken, or unknown (nothing taken)."
        },
    )
    outcome = fields.Str(required=True, validate=validate.OneOf([each.value for each in Outcome]))
    free_message = fields.Bool(required=True)
    zdr = fields.Bool(required=True, metadata={"description": "The provider keeps no data."})
    tags = fields.Dict(keys=fields.Str(), values=fields.Str(), required=True)
    api_key_id = fields.UUID(
        required=True,
        allow_none=True,
        metadata={"description": "The API key that asked; null: the signed-in user."},
    )


class UsageTotal(Schema):
    """Usage of one day or one model."""

    key = fields.Str(required=True, metadata={"description": "The day, or the model."})
    requests = fields.Int(required=True)
    prompt_tokens = fields.Int(required=True)
    completion_tokens = fields.Int(required=True)
    total_tokens = fields.Int(required=True)
    charged_eur = fields.Float(required=True)


class Usage(Schema):
    """`receipts` and `next_cursor`; or, when `by` was asked for, `by` and `sums`."""

    receipts = fields.List(fields.Nested(UsageReceipt))
    next_cursor = fields.Str(allow_none=True)
    by = fields.Str(validate=validate.OneOf(["day", "model"]))
    sums = fields.List(fields.Nested(UsageTotal))


class SpendingCapBody(Schema):
    """A person's own limits in euros, for each UTC day and month; null: no limit."""

    class Meta:
        unknown = EXCLUDE

    daily_eur = Euros(required=True, allow_none=True)
    monthly_eur = Euros(required=True, allow_none=True)


def cap_object(cap: SpendingCap) -> dict[str, Any]:
    """The limits on the wire."""
    return {
        "daily_eur": None if cap.daily is None else euros(cap.daily),
        "monthly_eur": None if cap.monthly is None else euros(cap.monthly),
    }
