"""The shape of a user's status, which two areas answer with."""

from __future__ import annotations

from marshmallow import Schema, fields


class UserStatus(Schema):
    """Subscription, credits in euros, and free messages of one user."""

    has_subscription = fields.Bool(required=True)
    current_plan = fields.Str(required=True, allow_none=True)
    credits_remaining = fields.Float(required=True)
    credits_total = fields.Float(required=True)
    subscription_status = fields.Str(required=True)
    current_period_end = fields.DateTime(required=True, allow_none=True)
    cancel_at_period_end = fields.Bool(required=True)
    free_messages_remaining = fields.Int(required=True)
    free_messages_total = fields.Int(required=True)
