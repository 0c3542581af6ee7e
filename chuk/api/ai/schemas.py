"""What goes into and comes out of the `/v1/ai` area."""

from __future__ import annotations

from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from chuk.api.fields import Number, Tags, WholeNumber
from chuk.api.model_list import Model

_ROLES = ("system", "user", "assistant")
_MAX_HISTORY = 2_000
# How the OpenAPI document shows what `History` reads.
_HISTORY = {
    "type": "array",
    "maxItems": _MAX_HISTORY,
    "items": {
        "type": "object",
        "required": ["role", "content"],
        "properties": {
            "role": {"type": "string", "enum": list(_ROLES)},
            "content": {
                "oneOf": [
                    {"type": "string"},
                    {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["type"],
                            "properties": {
                                "type": {"type": "string", "enum": ["text", "image_url"]},
                                "text": {"type": "string"},
                                "image_url": {
                                    "type": "object",
                                    "required": ["url"],
                                    "properties": {"url": {"type": "string"}},
                                },
                            },
                        },
                    },
                ]
            },
            "images": {"type": ["array", "null"], "items": {"type": "string"}},
        },
    },
}


class History(fields.Field[list[dict[str, Any]]]):
    """Earlier messages, each flattened to `{role, text, images}`.

    Written by hand: a nested schema takes seven times as long for twenty messages.
    """

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> list[dict[str, Any]]:
        if not isinstance(value, list):
            raise ValidationError("Not a valid list.")
        if len(value) > _MAX_HISTORY:
            raise ValidationError(f"Longer than {_MAX_HISTORY} messages.")
        return [_history_item(item) for item in value]


def _history_item(item: Any) -> dict[str, Any]:
    if not isinstance(item, dict) or item.get("role") not in _ROLES:
        raise ValidationError("Each message needs a role: user, assistant or system.")
    content, images = item.get("content"), item.get("images")
    if images is not None and not _all_text(images):
        raise ValidationError("A message's images must be a list of data URLs.")
    pictures = list(images or [])
    if isinstance(content, str):
        text = content
    elif isinstance(content, list):
        text, more = _parts(content)
        pictures += more
    else:
        raise ValidationError("A message's content must be a text or a list of parts.")
    return {"role": item["role"], "text": text, "images": pictures}


def _parts(parts: list[Any]) -> tuple[str, list[str]]:
    texts: list[str] = []
    urls: list[str] = []
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif (
            kind == "image_url"
            and isinstance(part.get("image_url"), dict)
            and isinstance(part["image_url"].get("url"), str)
        ):
            urls.append(part["image_url"]["url"])
        else:
            raise ValidationError("A part must be a text or an image_url.")
    return "\n".join(texts), urls


def _all_text(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


class ChatRequest(Schema):
    """One chat turn."""

    class Meta:
        unknown = EXCLUDE

    model_id = fields.Str(required=True, validate=validate.Length(min=1, max=200))
    message = fields.Str(load_default="", allow_none=True)
    provider_slug = fields.Str(allow_none=True, load_default=None)
    provider = fields.Str(allow_none=True, metadata={"description": "Display name; informative."})
    max_tokens = WholeNumber(load_default=4096, validate=validate.Range(min=1))
    temperature = Number(load_default=0.7, validate=validate.Range(min=0, max=2))
    history = History(load_default=list, allow_none=True, metadata=_HISTORY)
    system_prompt = fields.Str(allow_none=True, load_default=None)
    reasoning_effort = fields.Str(
        allow_none=True,
        load_default=None,
        validate=validate.OneOf(["none", "minimal", "low", "medium", "high"]),
    )
    allow_provider_fallbacks = fields.Bool(
        load_default=False, truthy={True}, falsy={False}, allow_none=True
    )
    images = fields.List(
        fields.Str(),
        load_default=list,
        allow_none=True,
        metadata={"description": "Data URLs; as a multipart form: file parts."},
    )
    metadata = Tags(load_default=dict, allow_none=True)


class ConfigQuery(Schema):
    """Which model to speak of."""

    class Meta:
        unknown = EXCLUDE

    model_id = fields.Str(load_default=None, validate=validate.Length(min=1, max=200))


class Config(Schema):
    """What a client may rely on."""

    defaults = fields.Dict(keys=fields.Str(), required=True)
    limits = fields.Dict(keys=fields.Str(), required=True)
    formats = fields.Dict(keys=fields.Str(), required=True)
    prices = fields.Dict(keys=fields.Str(), required=True)
    features = fields.Dict(keys=fields.Str(), values=fields.Bool(), required=True)
    routing = fields.Dict(
        keys=fields.Str(),
        required=True,
        metadata={"description": "Also the providers that are being left alone just now."},
    )
    model = fields.Nested(Model)
