"""Loads fields through a schema; every complaint becomes one `INVALID_REQUEST`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from marshmallow import Schema, ValidationError

from chuk.errors import InvalidRequest
from chuk.web.bodies import Form, parse_json


def checked(schema: Schema, values: Mapping[str, Any]) -> dict[str, Any]:
    """Load values through a schema instance (make it once: building one is slow).

    Raises:
        InvalidRequest: with `fields: {name: [why]}`.
    """
    try:
        return cast(dict[str, Any], schema.load(values))
    except ValidationError as error:
        reasons = {str(name): _flat(why) for name, why in error.messages_dict.items()}
        name, why = next(iter(reasons.items()))
        raise InvalidRequest(f"{name}: {why[0]}", fields=reasons) from None


def typed(
    form: Form, *, numbers: frozenset[str], booleans: frozenset[str], json: frozenset[str]
) -> dict[str, Any]:
    """Give a form's texts the types their fields have; what does not fit stays a text.

    The schema then refuses it with the same words as it would in JSON.
    """
    if form.is_typed:
        return form.values
    values = dict(form.values)
    for name in numbers & values.keys():
        values[name] = _number(values[name])
    for name in booleans & values.keys():
        lowered = values[name].strip().lower()
        values[name] = {"true": True, "1": True, "false": False, "0": False}.get(lowered, lowered)
    for name in json & values.keys():
        try:
            values[name] = parse_json(values[name].encode())
        except InvalidRequest:
            raise InvalidRequest.field(name, "Is not JSON, or has too many values.") from None
    return values


def _number(text: str) -> int | float | str:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def _flat(why: Any) -> list[str]:
    """Messages of nested fields, flattened to a list of sentences."""
    if isinstance(why, dict):
        return [text for inner in why.values() for text in _flat(inner)]
    return [text for item in why for text in _flat(item)] if isinstance(why, list) else [str(why)]
