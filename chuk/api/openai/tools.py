"""Tools and the form of an answer, checked as far as every model server takes them."""

from __future__ import annotations

import re
from typing import Any

from marshmallow import ValidationError, fields

_MOST_TOOLS = 128
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAME_RULE = "A name has 1 to 64 letters, digits, underscores or hyphens."


class Tools(fields.Field[list[dict[str, Any]]]):
    """The functions that the model may ask for."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> list[dict[str, Any]]:
        if not isinstance(value, list) or len(value) > _MOST_TOOLS:
            raise ValidationError(f"Must be a list of at most {_MOST_TOOLS} tools.")
        for tool in value:
            if not isinstance(tool, dict) or tool.get("type") != "function":
                raise ValidationError("Only tools of the type function are known here.")
            _check_function(tool.get("function"))
        return value


def _check_function(function: Any) -> None:
    if not isinstance(function, dict):
        raise ValidationError("A tool needs its function.")
    _check_name(function.get("name"))
    if not isinstance(function.get("description", ""), (str, type(None))):
        raise ValidationError("A description must be a text.")
    if not isinstance(function.get("parameters", {}), (dict, type(None))):
        raise ValidationError("Parameters must be a JSON schema.")


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValidationError(_NAME_RULE)


class ToolChoice(fields.Field[Any]):
    """Whether a tool is used, or which."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        if value in ("none", "auto", "required"):
            return value
        if not isinstance(value, dict) or value.get("type") != "function":
            raise ValidationError("Must be none, auto, required, or a function by its name.")
        function = value.get("function")
        _check_name(function.get("name") if isinstance(function, dict) else None)
        return value


class ResponseFormat(fields.Field[dict[str, Any]]):
    """What the answer looks like: text, any JSON, or JSON by a schema."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> dict[str, Any]:
        kind = value.get("type") if isinstance(value, dict) else None
        if kind not in ("text", "json_object", "json_schema"):
            raise ValidationError("Its type must be text, json_object or json_schema.")
        if kind == "json_schema":
            described = value.get("json_schema")
            if not isinstance(described, dict):
                raise ValidationError("It needs its json_schema.")
            _check_name(described.get("name"))
            if not isinstance(described.get("schema", {}), dict):
                raise ValidationError("The schema must be an object.")
        found: dict[str, Any] = value
        return found


class Stop(fields.Field[tuple[str, ...]]):
    """Texts at which the answer ends."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> tuple[str, ...]:
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or len(texts) > 4:
            raise ValidationError("Must be a text or at most 4 of them.")
        if not all(isinstance(text, str) and text for text in texts):
            raise ValidationError("Each must be a text, and not empty.")
        return tuple(texts)


class ProviderChoice(fields.Field[tuple[tuple[str, ...], bool]]):
    """Who shall answer: slugs in the order wished for, and whether others may step in."""

    def _deserialize(
        self, value: Any, attr: Any, data: Any, **kwargs: Any
    ) -> tuple[tuple[str, ...], bool]:
        if isinstance(value, str):
            return (value,), False
        if not isinstance(value, dict):
            raise ValidationError("Must be a provider's slug, or an object with order.")
        order, others = value.get("order") or [], value.get("allow_fallbacks", False)
        if not isinstance(order, list) or not all(isinstance(slug, str) for slug in order):
            raise ValidationError("The order must be a list of providers' slugs.")
        if not isinstance(others, bool):
            raise ValidationError("allow_fallbacks must be true or false.")
        return tuple(order), others
