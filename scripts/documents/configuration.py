"""Every setting and every key of the models file, from their own declarations."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any, get_type_hints

from marshmallow import Schema, fields, validate

from chuk.catalog import own_servers, selection
from chuk.settings import Settings, describe
from chuk.settings import values as checks
from chuk.settings.declaration import Setting
from scripts.documents.tables import table

_WORDS: dict[Any, str] = {
    checks.is_url: "an http or https address",
    checks.is_url_or_empty: "an http or https address, or empty",
    checks.is_redis_url_or_empty: "a redis, rediss or unix address, or empty",
    checks.is_stream_key_or_empty: "32 bytes in base64, or empty",
    checks.is_origin: "origins: scheme://host[:port]",
    checks.is_network: "addresses or networks",
}
_KINDS: dict[Any, str] = {
    str: "text",
    bool: "true or false",
    int: "whole number",
    float: "number",
    Decimal: "decimal",
    Path: "path",
    tuple[str, ...]: "list",
}


def settings_tables() -> str:
    """One part for each section of the file."""
    return "\n\n".join(_sections())


def _sections() -> Iterator[str]:
    hints = get_type_hints(Settings)
    for section, settings in groupby(describe(), key=lambda each: each.section):
        rows = [
            (f"`{each.name}`", f"`{each.env}`", _shown(each), allowed(each), _meaning(each))
            for each in settings
        ]
        text = " ".join((hints[section].__doc__ or "").split())
        head = ("Setting", "Variable", "Default", "Values", "Meaning")
        yield f"### [{section}]\n\n{text}\n\n{table(head, rows)}"


def _meaning(setting: Setting) -> str:
    return f"{setting.help} **Secret.**" if setting.secret else setting.help


def _shown(setting: Setting) -> str:
    value = setting.default
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value) or "none"
    if isinstance(value, float):
        return f"{value:,g}" if value < 10_000 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 100_000 else str(value)
    return f"`{value}`" if str(value) else "empty"


def allowed(setting: Setting) -> str:
    """Which values there are, in words."""
    kind = _KINDS[setting.kind]
    bound = bounds(setting.check)
    if isinstance(setting.check, validate.OneOf) or setting.check in _WORDS:
        return bound
    return f"{kind}, {bound}" if bound else kind


def bounds(check: Any) -> str:
    """What a check asks for, in words; empty for what has no words."""
    if check in _WORDS:
        return _WORDS[check]
    if isinstance(check, validate.OneOf):
        return ", ".join(f"`{each}`" if each != "" else "empty" for each in check.choices)
    if isinstance(check, validate.Range):
        return _range(check)
    if isinstance(check, validate.Length):
        low, high = check.min, check.max
        if high is None:
            return "not empty" if low == 1 else f"{low} at least"
        return f"{low or 0} to {high:,}"
    return ""


def _range(check: validate.Range) -> str:
    low = None if check.min is None else f"{check.min:,g}"
    high = None if check.max is None else f"{check.max:,g}"
    if high is None:
        return f"{low} at least" if check.min_inclusive else f"above {low}"
    if low is None:
        return f"{high} at most"
    return f"{low} to {high}" if check.min_inclusive else f"above {low}, to {high}"


_MEANINGS = {
    "allow": "Shell patterns of model ids, in any case; a model is offered when one matches.",
    "block": "Patterns of what is not offered all the same.",
    "models": "What is said of single models, in tables of their own, below.",
    "upstreams": "By a name of lower case letters, digits, `-` and `_`: a server of one's own.",
    "icon_url": "Address of its icon.",
    "url": "The server's base URL, ending before `/chat/completions`.",
    "title": "What people are shown; without it the name.",
    "api_key_env": "The environment variable with the server's key, if it wants one.",
    "zdr": "Your word that it keeps nothing of what it is sent; without it, true only for a "
    "server on a private address. The models of one without are never offered.",
    "name": "The model's name: what people are shown; of a server's own model, what that "
    "server calls it.",
    "id": "What clients call it; without it `<server>/<name>`.",
    "description": "What people are told of it.",
    "context_length": "Tokens of a conversation.",
    "max_completion_tokens": "Tokens of one answer at most.",
    "prompt": "US dollars for a token of the prompt; with `completion` or not at all.",
    "completion": "US dollars for a token of the answer.",
    "request": "US dollars for a request.",
    "image": "US dollars for an image in the prompt.",
    "cache_read": "US dollars for a token of the prompt that the server had kept.",
    "cache_write": "US dollars for a token that it keeps.",
    "vision": "Whether it sees images.",
    "reasoning": "Whether it thinks before it answers.",
    "efforts": "The reasoning efforts that it takes; without it any.",
    "parameters": "What it can be asked for (`tools`, `response_format`, …); without it anything.",
}


def models_file() -> str:
    """The keys of `config/models.toml`: the file, one model's words, a server, its models."""
    server = own_servers.ServerSchema()
    inner = server.fields["models"]
    assert isinstance(inner, fields.List) and isinstance(inner.inner, fields.Nested)
    parts = [
        ("The file", selection.FileSchema()),
        ('`[models."<id>"]`', selection.OverrideSchema()),
        ("`[upstreams.<name>]`", server),
        ("`[[upstreams.<name>.models]]`", inner.inner.schema),
    ]
    return "\n\n".join(f"### {title}\n\n{_keys(schema)}" for title, schema in parts)


def _keys(schema: Schema) -> str:
    rows = [
        (
            f"`{name}`",
            "yes" if field.required else "",
            ", ".join(text for text in map(bounds, field.validators) if text),
            _MEANINGS[name],
        )
        for name, field in schema.fields.items()
    ]
    return table(("Key", "Needed", "Values", "Meaning"), rows)
