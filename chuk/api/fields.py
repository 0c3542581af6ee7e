"""Kinds of fields that several areas read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields

_MAX_TAGS = 16
_MAX_TAG_LENGTH = 200


class WholeNumber(fields.Integer):
    """An integer, or a float without a fraction; never a boolean or a text."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValidationError("Not a valid integer.")
        if isinstance(value, float) and not value.is_integer():
            raise ValidationError("Not a valid integer.")
        return int(value)


class Number(fields.Float):
    """A finite number; never a boolean or a text."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValidationError("Not a valid number.")
        try:
            number = float(value)
        except OverflowError:
            raise ValidationError("Not a valid number.") from None
        if not math.isfinite(number):
            raise ValidationError("Not a valid number.")
        return number


class Tags(fields.Dict):
    """Small, flat metadata; what is not small and flat is left out, as the contract says."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> dict[str, str]:
        if not isinstance(value, Mapping):
            raise ValidationError("Not a valid object.")
        flat = {
            str(name): str(item)
            for name, item in value.items()
            if isinstance(item, (str, int, float, bool))
        }
        small = len(flat) <= _MAX_TAGS and all(map(_can_be_kept, flat.items()))
        return flat if small and len(flat) == len(value) else {}


def _can_be_kept(tag: tuple[str, str]) -> bool:
    """Whether every book can keep it: Postgres takes no zero byte, and no row would mean no pay."""
    name, item = tag
    return len(name) + len(item) <= _MAX_TAG_LENGTH and "\0" not in name + item
